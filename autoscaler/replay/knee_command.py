"""`python -m autoscaler.replay knee`: a concurrency target from samples; see `knee`.

`tidegate knee` takes a workload, too: it asks the API for samples and hands them over.
"""

import csv
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from autoscaler.replay.errors import ReplayError

if TYPE_CHECKING:
    from autoscaler.replay.knee import Knee, Sample

COLUMNS: Final = ("concurrency", "latency_s")


def knee(
    *,
    samples: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="CSV with columns `concurrency` (requests in flight per replica) and `latency_s`;"
            " - is standard input.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Propose a concurrency target from measured latency against load."""
    from autoscaler.replay.knee import find_knee  # noqa: PLC0415 - start-up time

    found = find_knee(_read(samples))
    if as_json:
        import msgspec  # noqa: PLC0415 - start-up time

        made = {
            "target": found.target,
            "why": found.why,
            "curve": [{"concurrency": x, "latencySeconds": y} for x, y in found.curve],
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
        return
    _print(found)


def _read(path: Path) -> "list[Sample]":
    try:
        if str(path) == "-":
            return list(_samples(sys.stdin, "standard input"))
        with path.open(encoding="utf-8", newline="") as lines:
            return list(_samples(lines, str(path)))
    except OSError as exc:
        raise ReplayError(f"cannot read {path}: {exc.strerror or exc}", code=2) from exc
    except UnicodeDecodeError as exc:
        raise ReplayError(f"{path} is not a text file in UTF-8", code=2) from exc


def _samples(lines: Iterable[str], name: str) -> "Iterator[Sample]":
    reader = csv.DictReader(lines, restval="")
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
    if missing:
        raise ReplayError(
            f"{name}: no column {missing[0]!r}", hint=f"It needs {', '.join(COLUMNS)}.", code=2
        )
    for row in reader:
        load, latency = (
            _number(row[column], f"{name}, line {reader.line_num}, column {column}")
            for column in COLUMNS
        )
        yield load, latency


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        said = f"{text!r} is not a number of at least 0" if text.strip() else "it is empty"
        raise ReplayError(f"{place}: {said}", code=2)
    return value


def _print(found: "Knee") -> None:
    for load, latency in found.curve:
        mark = "  <" if found.target is not None and load <= found.target * 1.05 else ""
        typer.echo(f"{load:10,.2f} in flight {latency * 1e3:12,.1f} ms{mark}")
    if found.target is None:
        typer.echo(f"\nNo target: {found.why}.")
    else:
        typer.echo(f"\nTarget {found.target:g}: {found.why}.")
