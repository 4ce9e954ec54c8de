"""Size, names and places of modules, and words that must not stand in the tree."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import (
    PRODUCT,
    ROOT,
    core_files,
    files,
    nodes,
    python_files,
    read,
    text_files,
)

LONGEST_LINES = 600
JUSTIFIED_LINES = 400
JUSTIFIED: dict[str, str] = {
    "gateway/net/downstream.py": "one connection's states, timer and brakes: three invariants "
    "that hold over all of its methods; bodies, heads and exchanges are elsewhere",
    "gateway/net/flow.py": "one exchange: every way to its one end, which releases and counts",
    "controlplane/model/sections.py": "the table of all settings of all processes: mostly their "
    "descriptions, which people look for in one place",
}
"""Product modules above 400 lines: path to the reason why they are not split."""

WHOLE_PACKAGE = {
    "tests/unit/autoscaler/core/test_properties.py": "what holds for every decision",
    "tests/unit/autoscaler/core/test_published_cases.py": "published examples, input to decision",
    "tests/unit/controlplane/model/test_records.py": "what holds for every record class",
}
"""Unit tests of more than one module: path to what they look at."""

EMPTY_NAMES = re.compile(r"^(utils?|helpers?|common|manager|managers|misc|shared)$")
EMPTY_CLASSES = re.compile(r"(Utils?|Helpers?|Manager)$")

# Spelled in pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile("/" + r"(work|farm|root|home/\w+|tmp/[a-z]+_jobs)" + "/")
PRAGMA = "pragma: " + "no cover"


def _lines(path: Path) -> int:
    return read(path).count("\n")


def test_the_tree_is_found():
    assert Path("pyproject.toml") in files()
    assert Path(".ci/run") in files()
    assert Path("gateway/core/__init__.py") in core_files()


def test_no_module_is_longer_than_600_lines():
    assert {str(p): _lines(p) for p in python_files() if _lines(p) > LONGEST_LINES} == {}


def test_modules_above_400_lines_have_a_reason_and_only_those():
    above = {str(p) for p in python_files(*PRODUCT, "loadtests") if _lines(p) > JUSTIFIED_LINES}
    assert above == set(JUSTIFIED)
    assert all(JUSTIFIED.values())


def test_no_module_or_package_has_an_empty_name():
    found = [str(p) for p in python_files() for part in p.parts if EMPTY_NAMES.match(_stem(part))]
    assert found == []


def test_no_class_is_named_for_nothing():
    found = [
        f"{path}: {node.name}"
        for path in python_files(*PRODUCT, "loadtests")
        for node in nodes(path)
        if isinstance(node, ast.ClassDef) and EMPTY_CLASSES.search(node.name)
    ]
    assert found == []


def test_decision_code_hides_no_line_from_coverage():
    assert [str(p) for p in core_files() if PRAGMA in read(p)] == []


def test_every_unit_test_mirrors_a_source_module():
    """`tests/unit/a/b/test_c.py` and `test_c_something.py` belong to `a/b/c.py` or `a/b/c/`."""
    strays = []
    for path in python_files("tests"):
        if path.parts[1] != "unit" or not path.name.startswith("test_"):
            continue
        top = ROOT / "tests" if path.parts[2] == "fakes" else ROOT  # fakes are tested themselves
        directory = top.joinpath(*path.parts[2:-1])
        name = path.stem.removeprefix("test_")
        words = name.split("_")
        wanted = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
        wanted += [f"__{name}__"]  # test_main.py for __main__.py
        if not any((directory / f"{w}.py").exists() or (directory / w).is_dir() for w in wanted):
            strays.append(str(path))
    assert set(strays) == set(WHOLE_PACKAGE)


def test_every_test_directory_is_a_package():
    """Else two test files of the same name collide."""
    directories = {p.parent for p in python_files("tests")}
    assert [str(d) for d in directories if not (ROOT / d / "__init__.py").exists()] == []


def test_no_file_names_a_path_of_one_machine():
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(read(path).splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_no_work_is_put_off():
    words = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
    assert [str(p) for p in text_files() if words.search(read(p))] == []


@pytest.mark.parametrize("name", ["skip", "skipif", "xfail", "importorskip"])
def test_a_skipped_test_says_what_it_needs(name):
    """The reason starts with "needs "; xfail and importorskip are not used at all.

    `tests.fakes.tools` composes its reason from the tool's name and the command that installs it.
    """
    found = []
    for path in python_files("tests"):
        if path == Path("tests/fakes/tools.py"):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call) and _called(node) == name:
                reason = _reason(node)
                if name in {"xfail", "importorskip"} or not reason.startswith("needs "):
                    found.append(f"{path}:{node.lineno}: {reason or 'no reason'}")
    assert found == []


def _stem(part: str) -> str:
    return part.removesuffix(".py")


def _called(node: ast.Call) -> str | None:
    """`skip` for `pytest.skip(...)` and `pytest.mark.skip(...)`."""
    function = node.func
    if not isinstance(function, ast.Attribute):
        return None
    return function.attr if ast.unparse(function.value) in {"pytest", "pytest.mark"} else None


def _reason(node: ast.Call) -> str:
    """The constant beginning of the reason that a skip gives."""
    values = [k.value for k in node.keywords if k.arg == "reason"] or node.args[:1]
    if not values:
        return ""
    value = values[0]
    if isinstance(value, ast.JoinedStr) and value.values:
        value = value.values[0]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
