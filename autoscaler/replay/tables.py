"""Rows of CSV files as a stream, with errors that name line and column."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from autoscaler.replay.errors import ReplayError


class Row:
    """One line of a CSV file; its values are converted when they are asked for."""

    __slots__ = ("_columns", "_values", "line", "path")

    def __init__(
        self, path: Path, line: int, columns: Mapping[str, int], values: Sequence[str]
    ) -> None:
        self.path = path
        self.line = line
        self._columns = columns
        self._values = values

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.path}, line {self.line}"

    def text(self, column: str) -> str | None:
        """A value without spaces around it; None when it is empty or there is no such column."""
        index = self._columns.get(column)
        if index is None or index >= len(self._values):
            return None
        return self._values[index].strip() or None

    def number(self, column: str, *, least: float = 0.0) -> float | None:
        """A finite number of at least `least`; None as for `text`.

        Raises:
            ReplayError: It is something else.
        """
        text = self.text(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            bound = "a number" if least == -math.inf else f"a number of at least {least:g}"
            raise self.wrong(column, f"{text!r} is not {bound}")
        return value

    def whole(self, column: str) -> int | None:
        """A whole number of at least 0; None as for `text`."""
        value = self.number(column)
        if value is not None and value != int(value):
            raise self.wrong(column, f"{value:g} is not a whole number")
        return None if value is None else int(value)

    def moment(self, column: str) -> tuple[float, bool]:
        """A moment: seconds as a number, or a date and time (UTC where it does not say).

        Returns:
            Seconds, and whether they count from the epoch because the text was a date.
        """
        text = self.text(column)
        if text is None:
            raise self._missing(column)
        try:
            value = float(text)
        except ValueError:
            return self._date(column, text), True
        if not -math.inf < value < math.inf:
            raise self.wrong(column, f"{text!r} is not a moment")
        return value, False

    def required(self, column: str, value: float | None) -> float:
        """A value that must be there.

        Raises:
            ReplayError: It is not.
        """
        if value is None:
            raise self._missing(column)
        return value

    def wrong(self, column: str, what: str) -> ReplayError:
        """The error to raise about a value."""
        return ReplayError(f"{self.place}, column {column}: {what}", code=2)

    def _missing(self, column: str) -> ReplayError:
        if column in self._columns:
            return self.wrong(column, "it is empty")
        return ReplayError(
            f"{self.path}, line 1: there is no column {column}",
            hint=f"Its columns are {', '.join(self._columns)}.",
            code=2,
        )

    def _date(self, column: str, text: str) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong(
                column, f"{text!r} is neither a number of seconds nor a date and time"
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def open_text(path: Path) -> TextIO:
    """A file for reading.

    Raises:
        ReplayError: It cannot be read.
    """
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as exc:
        raise ReplayError(f"cannot read {path}: {exc.strerror or exc}", code=2) from exc


def first_line(path: Path) -> str:
    """The first line of a file, at most 64 KiB of it.

    Raises:
        ReplayError: It cannot be read, or is no text.
    """
    with open_text(path) as file:
        try:
            return file.readline(65_536).rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise ReplayError(f"{path} is not a text file in UTF-8", code=2) from exc


def rows(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of a CSV file.

    Args:
        path: The file.
        columns: Names of the columns of a file without a header; None: its first line has them
            (they are compared in lower case).

    Raises:
        ReplayError: It cannot be read, a line is not CSV, or has not a value for each column.
    """
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        try:
            if columns is None:
                columns = [name.strip().lower() for name in next(reader, [])]
            positions = {name: index for index, name in enumerate(columns)}
            if twice := [n for n, at in positions.items() if n and columns.index(n) != at]:
                raise ReplayError(
                    f"{path}, line 1, column {twice[0]}: it is there twice",
                    hint="Rename or remove one of them.",
                    code=2,
                )
            for values in reader:
                if values:
                    _check_width(path, reader.line_num, columns, values)
                    yield Row(path, reader.line_num, positions, values)
        except csv.Error as exc:
            raise ReplayError(f"{path}, line {reader.line_num}: {exc}", code=2) from exc
        except UnicodeDecodeError as exc:
            raise ReplayError(f"{path} is not a text file in UTF-8", code=2) from exc


def _check_width(path: Path, line: int, columns: Sequence[str], values: Sequence[str]) -> None:
    """Refuse a row with too few values, or with more; a comma at the end is no value."""
    if len(values) == len(columns):
        return
    place = f"{path}, line {line}"
    if len(values) < len(columns):
        missing = columns[len(values)]
        raise ReplayError(
            f"{place}, column {missing}: it is missing; the line has {len(values)} of"
            f" {len(columns)} values",
            code=2,
        )
    if any(value.strip() for value in values[len(columns) :]):
        raise ReplayError(
            f"{place}, column {len(columns) + 1}: {values[len(columns)].strip()!r} is beyond the"
            f" {len(columns)} columns",
            code=2,
        )
