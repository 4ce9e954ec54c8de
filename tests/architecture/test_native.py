"""What is compiled must be safe to compile where only mypy is at hand."""

import ast
from pathlib import Path

import pytest

import autoscaler.native
import gateway.native

KNOWN = frozenset(
    {"Enum", "Exception", "Generic", "IntEnum", "NamedTuple", "Protocol", "StrEnum", "ValueError"}
)
"""Bases from the standard library, which mypyc knows everywhere."""


def compiled() -> list[Path]:
    """The sources of all compiled modules."""
    return [
        native.PACKAGE / f"{module}.py"
        for native in (autoscaler.native, gateway.native)
        for module in native.GROUP.modules
    ]


@pytest.mark.parametrize("path", compiled(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_compiled_class_inherits_from_another_package_s(path):
    # An installation compiles without the dependencies: mypyc takes such a base for no base at all,
    # and gives the class a layout that crashes the process.
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.ClassDef]
    own = {node.name for node in classes}
    for node in classes:
        bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
        assert bases <= KNOWN | own, f"{node.name} inherits from {sorted(bases - KNOWN - own)}"
