"""Compiles a `native.Group` with mypyc. Needs a C compiler and mypy.

The installation does the same where it can (`hatch_build.py`). Nothing is lost without it but
speed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from controlplane.native import Group


class BuildError(Exception):
    """It cannot be compiled here; the message says why."""


def build(group: Group, directory: Path) -> Path:
    """Compile, unless a build of these sources is there already; older ones are removed.

    Args:
        group: What.
        directory: Its package's own.

    Returns:
        The build's directory.

    Raises:
        BuildError: mypy or a C compiler is missing, or one of them failed.
    """
    target = group.home(directory)
    if (target / "complete").exists():
        return target
    builds = target.parent
    builds.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=builds) as scratch:
        output = Path(scratch) / "out"
        done = subprocess.run(  # noqa: S603 - this interpreter, our module
            [sys.executable, "-m", f"{group.package}.build", "--into", str(output)],
            cwd=directory.parent,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(["", *filter(None, sys.path)])},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BuildError((done.stderr or done.stdout).strip() or "the compiler said nothing")
        (output / "complete").touch()
        for old in builds.iterdir():
            if not old.name.startswith("."):
                shutil.rmtree(old, ignore_errors=True)
        output.rename(target)
    return target


def compile_into(group: Group, output: Path) -> None:
    """Run mypyc and the C compiler in this process. The working directory is the project's."""
    from mypyc.build import mypycify  # noqa: PLC0415 - a build tool, absent where nobody builds
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        extensions = mypycify(
            [
                *("--config-file=", "--ignore-missing-imports", "--follow-imports=silent"),
                *(f"{group.package}/{module}.py" for module in group.modules),
            ],
            opt_level="3",
            debug_level="0",
            group_name=group.library,
            target_dir=scratch,
        )
        command = build_ext(Distribution({"name": "tidegate", "ext_modules": extensions}))
        command.build_lib = str(output)
        command.build_temp = scratch
        command.ensure_finalized()
        command.run()


def main(group: Group, directory: Path) -> int:
    """`python -m <package>.build`: build, and say where it is.

    Returns:
        The exit code; 1: it could not be compiled.
    """
    if sys.argv[1:2] == ["--into"]:
        compile_into(group, Path(sys.argv[2]))
        return 0
    try:
        sys.stdout.write(f"{build(group, directory)}\n")
    except BuildError as exc:
        sys.stderr.write(f"{group.package}: cannot compile its hot modules: {exc}\n")
        return 1
    return 0
