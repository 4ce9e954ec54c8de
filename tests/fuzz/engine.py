"""One target under atheris: `python -m tests.fuzz.engine fuzz_heads CORPUS [libFuzzer options]`.

Only this module needs atheris, and only `python -m tests.fuzz` starts it.
"""

import gc
import importlib
import sys


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough, or until a finding."""
    import atheris  # noqa: PLC0415 - not installed everywhere; see above

    with atheris.instrument_imports(include=["gateway"]):
        target = importlib.import_module(f"tests.fuzz.{sys.argv[1]}")
    gc.freeze()  # what is imported stays: the collector need not look at it after every input
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
