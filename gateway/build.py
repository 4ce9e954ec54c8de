"""`python -m gateway.build`: compile the hot path with mypyc. Needs a C compiler and mypy."""

import sys

from controlplane.native_build import main
from gateway.native import GROUP, PACKAGE

if __name__ == "__main__":
    sys.exit(main(GROUP, PACKAGE))
