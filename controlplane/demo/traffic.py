"""When the demo sends what: five phases, and the moment of every request. Pure.

phase    traffic                      what one should see
-------  ---------------------------  ---------------------------------------------------
silence  none                         no replica runs
first    one request                  it waits for one cold start, and is answered
steady   `STEADY_PER_S`               one replica is enough
burst    `BURST_PER_S`                a queue for a moment, then replicas up to the bound
quiet    none                         replicas leave, down to zero
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

STEADY_PER_S: Final = 20.0
BURST_PER_S: Final = 140.0
STREAM_RATIO: Final = 0.1
"""Share of the requests that stream tokens."""

MIN_SECONDS: Final = 20
MAX_SECONDS: Final = 90
"""Bounds of the whole demo, start and end included."""

OVERHEAD_S: Final = 6.0
"""Set aside for starting and stopping the installation."""

SHARES: Final[dict[str, float]] = {
    "silence": 0.05,
    "first": 0.10,
    "steady": 0.22,
    "burst": 0.25,
    "quiet": 0.38,
}
"""Each phase's share of the time between start and stop."""

_MIN_FIRST_S: Final = 2.0
_SLACK_S: Final = 0.5
"""Less than a replica takes to start: the first one is still there for the steady traffic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of the demo; times are seconds from the beginning of the first phase."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request and the moment it is meant to be sent."""

    at_s: float
    phase: str
    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Settings that make hours of idling fit into seconds; `tidegate up --set` takes them."""

    stable_window_s: float
    cooldown_s: float

    def assignments(self) -> list[str]:
        """`section.key=value` texts."""
        return [
            "autoscaler.tick_s=0.25",
            f"autoscaler.stable_window_s={self.stable_window_s:g}",
            # The short window must hold a few reports.
            "autoscaler.panic_window_ratio=0.25",
            "autoscaler.scale_down_delay_s=0",
            f"autoscaler.cooldown_s={self.cooldown_s:g}",
            "gateway.report_interval_s=0.2",
            "up.stop_timeout_s=10",
        ]


def phases(seconds: float) -> list[Phase]:
    """The phases of a demo that takes about `seconds` in all, start and stop included."""
    traffic_s = seconds - OVERHEAD_S
    found = []
    at_s = 0.0
    for name, share in SHARES.items():
        length_s = traffic_s * share
        if name == "first":
            length_s = max(length_s, _MIN_FIRST_S)
        found.append(Phase(name=name, start_s=at_s, end_s=at_s + length_s))
        at_s += length_s
    return found


def tuning(seconds: float) -> Tuning:
    """Windows and cooldown that fit a demo of `seconds`."""
    traffic_s = seconds - OVERHEAD_S
    first = next(phase for phase in phases(seconds) if phase.name == "first")
    return Tuning(
        stable_window_s=round(min(max(traffic_s / 10, 1.5), 6.0), 1),
        cooldown_s=round(first.end_s - first.start_s - _SLACK_S, 1),
    )


def plan(seconds: float, *, seed: int = 1) -> Iterator[Planned]:
    """All requests in the order of their moments.

    Arrivals are random (Poisson), as those of many independent clients are; the seed makes two
    demos alike.
    """
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    for phase in phases(seconds):
        if phase.name == "first":
            yield _request(rng, phase, phase.start_s, kind="predict")
            continue
        rate = {"steady": STEADY_PER_S, "burst": BURST_PER_S}.get(phase.name)
        if rate is None:
            continue
        at_s = phase.start_s + rng.expovariate(rate)
        while at_s < phase.end_s:
            yield _request(rng, phase, at_s, kind=_kind(rng))
            at_s += rng.expovariate(rate)


def _kind(rng: random.Random) -> str:
    return "stream" if rng.random() < STREAM_RATIO else "predict"


def _request(rng: random.Random, phase: Phase, at_s: float, *, kind: str) -> Planned:
    if kind == "stream":
        return Planned(at_s=at_s, phase=phase.name, method="GET", path="/stream?tokens=8", body=b"")
    body = b'{"inputs": [%.3f, %.3f]}' % (rng.random(), rng.random())
    return Planned(at_s=at_s, phase=phase.name, method="POST", path="/predict", body=body)
