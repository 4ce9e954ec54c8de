"""The compiled twin of the hot path: found if it was built from these very sources, else left.

mypyc compiles the modules that every request runs through, as they are: there is one source, and
the interpreter runs it just as well, three times slower. `python -m gateway.build` (and the
installation, where there is a C compiler) puts the result in `gateway/_native/<build>/`; the
build's name holds a digest of the sources, so what was compiled from other sources is never used.
"""

import hashlib
import sys
import sysconfig
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent

MODULES: Final = (
    *("core/affinity", "core/balancing", "core/chunks", "core/exchange", "core/fairness"),
    *("core/forwarded", "core/framing", "core/headers", "core/health", "core/leaving", "core/load"),
    *("core/messages", "core/peers", "core/quotas", "core/retries", "core/rewriting"),
    *("core/routing", "net/bodies", "net/callers", "net/clients", "net/dispatcher"),
    *("net/downstream", "net/endpoints", "net/flow", "net/heads", "net/policies", "net/routes"),
    *("net/sessions", "net/upstream", "net/watch", "net/worker"),
)
"""What is compiled. They see each other's attributes without a look-up, so they go together."""

GROUP: Final = "tidegate_gateway"
"""Name of the shared library that holds them all."""


def home() -> Path:
    """Where a build of the present sources, for this interpreter, belongs."""
    digest = hashlib.sha256()
    for module in MODULES:
        digest.update(PACKAGE.joinpath(f"{module}.py").read_bytes())
    name = f"{sysconfig.get_config_var('SOABI')}-{digest.hexdigest()[:16]}"
    return PACKAGE / "_native" / name


def activate() -> bool:
    """Use the compiled modules in this process; False: there are none, all stays interpreted.

    Must run before any of them is imported.

    Raises:
        RuntimeError: One of them is imported already: the process would run a mixture.
    """
    build = home()
    if not (build / "complete").exists():
        return False
    names = [f"gateway.{module.replace('/', '.')}" for module in MODULES]
    early = [name for name in names if name in sys.modules]
    if early:
        raise RuntimeError(f"imported before gateway.native.activate(): {', '.join(early)}")
    import gateway.core  # noqa: PLC0415 - only a process that asks for it
    import gateway.net  # noqa: PLC0415

    sys.path.append(str(build))  # the shared library is a top-level module
    gateway.core.__path__.insert(0, str(build / "gateway" / "core"))
    gateway.net.__path__.insert(0, str(build / "gateway" / "net"))
    return True
