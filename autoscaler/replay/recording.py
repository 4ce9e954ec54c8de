"""Our own recording of a running system: per step and workload, counts and service times.

The first line is a header, every further one is a step of one workload in which something happened:

    {"tidegateRecording": 1, "beganAt": 1767225600.0}
    {"at_s": 12.5, "length_s": 0.5, "workload": "summarise", "started": 7, "answered": 6,
     "working_s": 2.81, "response_s": 2.93, "histogram": {"512": 4, "530": 2}}

All numbers are differences of the gateways' cumulative counters, so nothing is sampled and nothing
is lost between two steps. `histogram` counts response times (`controlplane.model.histograms`),
which include waiting; `working_s` is the integral of the requests that were with replicas. Their
quotient over all answers turns drawn response times into service times with the exact mean.

When a recording is read, requests are spread over their step by chance, and each gets a service
time from the answers of about the same moment.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO, TypeVar

import msgspec

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.rates import Allowance, spread, whole_count
from autoscaler.replay.tables import open_text
from autoscaler.replay.traces import Arrival
from controlplane.model.histograms import middle_s

HEADER: Final = '{"tidegateRecording"'

MAX_LINE: Final = 1 << 20
"""Longest line, characters."""

_ENOUGH: Final = 50
"""Answers that a distribution of service times needs."""
_FORGET_AT: Final = 2000
"""So many answers make the distribution; then each counts half, for later ones to matter."""


class Header(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first line."""

    tidegate_recording: int = 1
    """The format's version."""
    began_at: float
    """Wall clock of second 0, epoch seconds."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one workload did in one step."""

    at_s: float
    length_s: float
    workload: str
    started: int = 0
    answered: int = 0
    """By replicas, with anything."""
    working_s: float = 0.0
    response_s: float = 0.0
    """Sum of the response times in the histogram."""
    histogram: dict[int, int] = {}


class _ServiceTimes:
    """The distribution of one workload's service times, as far as it has been read."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._total = 0.0
        self._working_s = 0.0
        self._response_s = 0.0
        self._answered = 0.0
        self._values: list[float] = []
        self._weights: list[float] = []

    @property
    def known(self) -> bool:
        return self._total > 0

    @property
    def enough(self) -> bool:
        return self._total >= _ENOUGH

    def add(self, step: Step) -> None:
        if self._total > _FORGET_AT:
            self._counts = {i: n / 2 for i, n in self._counts.items() if n >= 0.25}  # noqa: PLR2004
            for name in ("_total", "_working_s", "_response_s", "_answered"):
                setattr(self, name, getattr(self, name) / 2)
        for index, count in step.histogram.items():
            self._counts[index] = self._counts.get(index, 0) + count
            self._total += count
        self._working_s += step.working_s
        self._response_s += step.response_s
        self._answered += step.answered
        self._values = []

    def draw(self, rng: random.Random) -> float | None:
        if not self.known:
            return None
        if not self._values:
            factor = min(1.0, self._working_s / self._response_s) if self._response_s else 1.0
            self._values = [middle_s(index) * factor for index in self._counts]
            self._weights = list(self._counts.values())
        return rng.choices(self._values, self._weights)[0]


def read_recording(
    path: Path, rng: random.Random, rate: float, most: int
) -> tuple[float | None, Iterator[Arrival]]:
    """A recording.

    Raises:
        ReplayError: It cannot be read, or a line is wrong.
    """
    with open_text(path) as file:
        header = _decode(path, 1, file.readline(MAX_LINE), Header)
    if header.tidegate_recording != 1:
        raise ReplayError(
            f"{path}, line 1: version {header.tidegate_recording} of the format is not known",
            hint="It was recorded by a newer version of this program.",
            code=2,
        )
    return header.began_at, _arrivals(path, rng, rate, Allowance(most))


def write_header(file: TextIO, *, began_at: float) -> None:
    """Begin a recording."""
    file.write(msgspec.json.encode(Header(began_at=began_at)).decode() + "\n")


def write_step(file: TextIO, step: Step) -> None:
    """Add a step."""
    file.write(msgspec.json.encode(step).decode() + "\n")


def _arrivals(
    path: Path, rng: random.Random, rate: float, allowance: Allowance
) -> Iterator[Arrival]:
    times: dict[str, _ServiceTimes] = {}
    _read_ahead(_steps(path), times)
    first = {name: known for name, known in times.items() if known.known}
    later: dict[str, _ServiceTimes] = {}
    group: list[Step] = []
    for step in _steps(path):
        if group and step.at_s != group[0].at_s:
            yield from _group(group, first, later, rng, rate)
            group = []
        allowance.take(step.started * rate, f"{path}, second {step.at_s:g}")
        group.append(step)
    yield from _group(group, first, later, rng, rate)


def _read_ahead(steps: Iterator[Step], times: dict[str, _ServiceTimes]) -> None:
    """The first answers of every workload, for the requests that came before any answer."""
    for step in steps:
        known = times.setdefault(step.workload, _ServiceTimes())
        if not known.enough:
            known.add(step)


def _group(
    group: list[Step],
    first: dict[str, _ServiceTimes],
    later: dict[str, _ServiceTimes],
    rng: random.Random,
    rate: float,
) -> Iterator[Arrival]:
    found: list[Arrival] = []
    for step in group:
        name = step.workload
        known = later.setdefault(name, _ServiceTimes())
        known.add(step)
        times = known if known.enough or name not in first else first[name]
        moments = spread(
            whole_count(step.started * rate, rng),
            start_s=step.at_s,
            length_s=step.length_s,
            rng=rng,
        )
        found += [Arrival(at_s, times.draw(rng), workload=name) for at_s in moments]
    if len(group) > 1:
        found.sort(key=lambda arrival: arrival.at_s)
    yield from found


def _steps(path: Path) -> Iterator[Step]:
    with open_text(path) as file:
        file.readline(MAX_LINE)
        before_s = 0.0
        number = 1
        while line := file.readline(MAX_LINE):
            number += 1
            if not line.strip():
                continue
            step = _decode(path, number, line, Step)
            if step.at_s < before_s or step.length_s <= 0 or step.started < 0:
                raise ReplayError(
                    f"{path}, line {number}: steps must follow each other, have a length and count"
                    " upwards",
                    code=2,
                )
            before_s = step.at_s
            yield step


_T = TypeVar("_T")


def _decode(path: Path, number: int, line: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as exc:
        raise ReplayError(f"{path}, line {number}: {exc}", code=2) from exc
