"""The compiled twin of a round: what every decision runs through (`controlplane.native`).

The interpreter runs it two to three times slower. Decisions are the same, bit for bit.

Records (msgspec's structs) and enums that programs outside read are in modules of their own that
stay interpreted: mypyc does not pass a class's keywords on to msgspec. So are classes that inherit
from another package's: where that is not at hand while compiling, mypyc lays them out wrongly, and
the process crashes.
"""

from pathlib import Path
from typing import Final

from controlplane.native import Group

PACKAGE: Final = Path(__file__).parent

MODULES: Final = (
    *("collectors", "controls", "loop", "proton_numbers", "scales", "settlement", "shadows"),
    *("telemetry", "trials"),
    *("core/accounts", "core/clocks", "core/damping", "core/idle", "core/notes", "core/plan"),
    *("core/policy", "core/quality", "core/rates", "core/series", "core/windows"),
    *("replay/ours", "replay/outcome", "replay/queueing", "replay/simulate", "replay/simulated"),
)
"""What is compiled."""

GROUP: Final = Group(
    package="autoscaler",
    modules=MODULES,
    relies_on=("*.py", "core/*.py", "replay/*.py", "../controlplane/model/*.py"),
)


def home() -> Path:
    """Where a build of the present sources, for this interpreter, belongs."""
    return GROUP.home(PACKAGE)


def activate() -> bool:
    """Use the compiled modules in this process; False: there are none, all stays interpreted.

    Must run before any of them is imported.

    Raises:
        RuntimeError: One of them is imported already: the process would run a mixture.
    """
    return GROUP.activate(PACKAGE)
