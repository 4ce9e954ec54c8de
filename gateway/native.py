"""The compiled twin of the hot path: what every request runs through (`controlplane.native`).

The interpreter runs it three times slower.
"""

from pathlib import Path
from typing import Final

from controlplane.native import Group

PACKAGE: Final = Path(__file__).parent

MODULES: Final = (
    *("core/affinity", "core/balancing", "core/chunks", "core/exchange", "core/fairness"),
    *("core/forwarded", "core/framing", "core/headers", "core/health", "core/leaving", "core/load"),
    *("core/messages", "core/peers", "core/quotas", "core/retries", "core/rewriting"),
    *("core/routing", "net/bodies", "net/callers", "net/clients", "net/dispatcher"),
    *("net/downstream", "net/endpoints", "net/flow", "net/heads", "net/policies", "net/routes"),
    *("net/sessions", "net/upstream", "net/watch", "net/worker"),
)
"""What is compiled."""

GROUP: Final = Group(package="gateway", modules=MODULES)


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
