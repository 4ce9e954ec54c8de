"""The compiled hot path is used when it was built from these very sources, and never else."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import native


def run(code: str, package: Path) -> str:
    """What `code` prints in a process of its own, with `native.PACKAGE` set to `package`."""
    lines = (
        "from gateway import native; import pathlib\n"
        f"native.PACKAGE = pathlib.Path({str(package)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines + code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def package(tmp_path):
    for module in native.MODULES:
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((native.PACKAGE / f"{module}.py").read_bytes())
    return tmp_path


def build(package: Path) -> Path:
    """A finished build whose one compiled module tells that it was taken."""
    home = Path(run("print(native.home())", package))
    (home / "gateway" / "core").mkdir(parents=True)
    (home / "gateway" / "net").mkdir()
    (home / "gateway" / "core" / "load.py").write_text("WHICH = 'compiled'\n")
    (home / "complete").touch()
    return home


WHICH = "import gateway.core.load as m; print(getattr(m, 'WHICH', 'interpreted'))"


def test_without_a_build_everything_stays_interpreted(package):
    assert run("print(native.activate());" + WHICH, package) == "False\ninterpreted"


def test_a_build_of_these_sources_is_used(package):
    build(package)
    assert run("print(native.activate());" + WHICH, package) == "True\ncompiled"


@pytest.mark.parametrize("module", native.MODULES)
def test_a_build_of_other_sources_is_left_alone(package, module):
    before = native_home(package)
    with (package / f"{module}.py").open("a") as source:
        source.write("\n# changed\n")
    assert native_home(package) != before


def native_home(package: Path) -> Path:
    kept, native.PACKAGE = native.PACKAGE, package
    try:
        return native.home()
    finally:
        native.PACKAGE = kept


def test_a_build_that_was_interrupted_is_left_alone(package):
    (build(package) / "complete").unlink()
    assert run("print(native.activate())", package) == "False"


def test_a_process_never_runs_a_mixture(package):
    build(package)
    said = run("import gateway.core.load; native.activate()", package)
    assert said == "RuntimeError: imported before gateway.native.activate(): gateway.core.load"
