"""What commands print: tables for people, JSON for programs, errors on standard error.

Colour and live redrawing only on a terminal, and never with NO_COLOR (rich looks at both).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

from controlplane.cli.errors import CliError

# Piped output is for programs and files: no wrapping at 80 columns.
_PIPE_WIDTH = 10_000


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or standard error as they are now."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, highlight=False, soft_wrap=not stream.isatty(), width=width)


def say(text: str = "") -> None:
    """Print a line for people, with no mark-up."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print indented JSON."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_json_line(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print JSON on one line, for streams of events."""
    say(msgspec.json.encode(value).decode())


def print_items(
    items: Sequence[Any], columns: Mapping[str, Callable[[Any], object]], *, as_json: bool
) -> None:
    """Print what a list has: all of it as JSON, or a table.

    Args:
        items: As the API answered.
        columns: Heading to what stands below it for an item.
        as_json: Whether it is for a program.
    """
    if as_json:
        print_json(items)
    else:
        print_table(list(columns), [[cell(item) for cell in columns.values()] for item in items])


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows: aligned columns on a terminal, tab-separated ones elsewhere.

    Nothing is wrapped or cut, so that ids can be copied.
    """
    table = [list(headers), *([_cell(cell) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        for line in table:
            say("\t".join(line))
        return
    widths = [max(cell_len(line[index]) for line in table) for index in range(len(headers))]
    out = console()
    for number, line in enumerate(table):
        padded = (set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True))
        text = "  ".join(padded).rstrip()
        out.print(text, style="bold" if number == 0 else None, markup=False, soft_wrap=True)


def print_error(error: CliError) -> None:
    """Say what is wrong and what to do."""
    out = console(stderr=True)
    out.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        out.print(escape(error.hint))


def or_dash(value: object) -> str:
    """A value, `-` where there is none."""
    return "-" if value is None else str(value)


def second(timestamp: str) -> str:
    """A timestamp of the API without what is shorter than a second."""
    return timestamp[:19]


def _cell(value: object) -> str:
    return "" if value is None else str(value)
