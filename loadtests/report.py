"""What a run has to tell: the page and programs get it from here. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from loadtests.recording import PARTS, Cell, Durations, Kind, Recorder, requests_of, together

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class State(StrEnum):
    """How far the run has come."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the page shows."""

    url: str
    state: State
    began: str
    """Date and time, ISO 8601."""
    planned_s: float | None
    """How long the run was to last; None: until the trace ends."""
    is_open: bool
    """Whether requests left when they were due."""
    options: Mapping[str, object]
    """What it was started with; no secrets."""
    versions: Mapping[str, str]
    recorder: Recorder
    busy_ratio: float
    """CPU seconds of the load generator per second; it has one core."""
    replica_problem: str = ""
    """Why there is nothing about replicas."""


def as_json(report: Report) -> str:
    """The numbers of the page, for programs."""
    recorder = report.recorder
    total = requests_of(recorder.kinds)
    body = {
        "url": report.url,
        "state": report.state,
        "began": report.began,
        "length_s": round(recorder.last_s, 3),
        "options": {key: str(value) for key, value in report.options.items()},
        "versions": dict(report.versions),
        "started": recorder.started,
        "ended": total.count,
        "failed": total.failed,
        "unfinished": recorder.unfinished,
        "errors": dict(total.errors),
        "requests": [_row(kind, cell) for kind, cell in sorted(recorder.kinds.items())],
        "lateness_ms": _quantiles(together(recorder.lateness.values())),
        "busy_ratio": round(report.busy_ratio, 3),
        "cold_starts": together(recorder.cold.values()).count,
        "seconds": [
            _second(second, requests_of(recorder.by_kind([second])))
            for second in range(recorder.length_s)
        ],
        "replicas": [
            {"at_s": round(s.at_s, 3), "ready": s.ready, "wanted": s.wanted}
            for s in recorder.replicas
        ],
    }
    return json.dumps(body, indent=1)


def _row(kind: Kind, cell: Cell) -> dict[str, object]:
    return {
        "type": kind[0],
        "name": kind[1],
        "is_part": kind[0] in PARTS,
        "count": cell.count,
        "failed": cell.failed,
        "errors": dict(cell.errors),
        "ms": {**_quantiles(cell.durations), "mean": _rounded(cell.durations.mean_ms)},
    }


def _second(second: int, cell: Cell) -> dict[str, object]:
    return {
        "at_s": second,
        "ended": cell.count,
        "failed": cell.failed,
        "ms": _quantiles(cell.durations),
    }


def _quantiles(durations: Durations) -> dict[str, float | None]:
    found = {name: _rounded(durations.quantile(q)) for name, q in QUANTILES.items()}
    return {**found, "max": _rounded(durations.max_ms if durations.count else None)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
