"""Compiled twins of a package's hot modules: found if built from these very sources, else left.

mypyc compiles modules as they are: there is one source, and the interpreter runs it just as well,
only slower. `python -m <package>.build` (and the installation, where there is a C compiler) puts
the result in `<package>/_native/<build>/`; the build's name holds a digest of the sources, so what
was compiled from other sources is never used. `gateway.native` and `autoscaler.native` say what.
"""

import hashlib
import importlib
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Modules that are compiled together: they see each other's attributes without a look-up."""

    package: str
    """Name of the package that they are in."""
    modules: tuple[str, ...]
    """Their paths in it, without `.py`."""
    relies_on: tuple[str, ...] = ()
    """Sources beside them, as globs relative to the package: what mypy reads there decides how
    the modules are compiled, so a change there asks for another build, too."""

    @property
    def library(self) -> str:
        """Name of the shared library that holds them all."""
        return f"tidegate_{self.package}"

    def home(self, directory: Path) -> Path:
        """Where a build of the present sources, for this interpreter, belongs.

        Args:
            directory: The package's own.
        """
        digest = hashlib.sha256()
        for module in self.modules:
            digest.update(directory.joinpath(f"{module}.py").read_bytes())
        for pattern in self.relies_on:
            for path in sorted(directory.joinpath(pattern).parent.glob(Path(pattern).name)):
                digest.update(path.read_bytes())
        name = f"{sysconfig.get_config_var('SOABI')}-{digest.hexdigest()[:16]}"
        return directory / "_native" / name

    def activate(self, directory: Path) -> bool:
        """Use the compiled modules in this process; False: there are none, all stays interpreted.

        Must run before any of them is imported.

        Args:
            directory: The package's own.

        Raises:
            RuntimeError: One of them is imported already: the process would run a mixture.
        """
        build = self.home(directory)
        if not (build / "complete").exists():
            return False
        names = [f"{self.package}.{module.replace('/', '.')}" for module in self.modules]
        early = [name for name in names if name in sys.modules]
        if early:
            called = f"{self.package}.native.activate()"
            raise RuntimeError(f"imported before {called}: {', '.join(early)}")
        sys.path.append(str(build))  # the shared library is a top-level module
        for parent in sorted({name.rpartition(".")[0] for name in names}, reverse=True):
            place = build.joinpath(*parent.split("."))
            importlib.import_module(parent).__path__.insert(0, str(place))
        return True
