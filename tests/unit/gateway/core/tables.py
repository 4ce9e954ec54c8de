"""Reads the tables of docstrings, so that tests can walk them row by row."""

import re


def table(documented: object, *, first: str) -> list[tuple[str, ...]]:
    """The rows of a docstring's table.

    Args:
        documented: A module or class.
        first: Heading of the table's first column.
    """
    lines = (documented.__doc__ or "").splitlines()
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
