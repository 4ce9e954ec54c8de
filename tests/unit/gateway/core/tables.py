"""Reads the tables of docstrings, so that tests can walk them row by row."""

import ast
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[4]


def table(module: ModuleType, *, first: str) -> list[tuple[str, ...]]:
    """The rows of a table in a module's docstring.

    Args:
        module: Its source is read: compiled modules have no docstring.
        first: Heading of the table's first column.
    """
    source = ROOT.joinpath(*module.__name__.split(".")).with_suffix(".py")
    lines = (ast.get_docstring(ast.parse(source.read_text("utf-8"))) or "").splitlines()
    rows: list[tuple[str, ...]] = []
    for number, line in enumerate(lines[:-1]):
        rule = lines[number + 1]
        if not line.strip().startswith(first) or set(rule.strip()) != {"-", " "}:
            continue
        columns = [match.start() for match in re.finditer("-+", rule)]
        for row in lines[number + 2 :]:
            if not row.strip():
                break
            ends = [*columns[1:], len(row)]
            rows.append(
                tuple(row[begin:end].strip() for begin, end in zip(columns, ends, strict=True))
            )
        return rows
    raise AssertionError(f"no table with a first column {first!r}")
