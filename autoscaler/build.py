"""`python -m autoscaler.build`: compile the rounds with mypyc. Needs a C compiler and mypy."""

import sys

from autoscaler.native import GROUP, PACKAGE
from controlplane.native_build import main

if __name__ == "__main__":
    sys.exit(main(GROUP, PACKAGE))
