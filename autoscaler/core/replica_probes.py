"""When a replica's probes are due and what their results say about it, without any I/O.

    verdict   means                                                   what the owner sees
    --------  ------------------------------------------------------  -------------------
    STARTING  start-up or readiness has not succeeded yet             launching
    READY     readiness succeeded `success_threshold` times in a row  ready
    UNREADY   it was ready; `failure_threshold` failures in a row     unready
    DEAD      the start-up budget is used up, or liveness failed      restarted
              `failure_threshold` times in a row

The rules are those of Kubernetes, with two differences that serve cold starts, where people wait:

* Before its first success a start-up or readiness probe is not tried once a period but after 5 %
  of the time since the start, at least 20 ms and at most 1 s: a service that takes 0.2 s is seen
  ready within 20 ms, one that takes 10 s within half a second. Failures still count once a
  period, so the start-up budget stays `initial_delay + period * failure_threshold`.
* `initial_delay_s` of those two says from when *failures* count. A success before it is taken:
  the contract's default of 30 s would otherwise be the shortest cold start there is.

Liveness begins after its initial delay, and after the start-up probe where there is one. Without a
readiness probe a replica is ready once its port accepts a connection, and stays so.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from controlplane.model.artifacts import DEFAULT_PROBE_PORT, Container, Probe

FAST_RATIO: Final = 0.05
FAST_MIN_S: Final = 0.02
FAST_MAX_S: Final = 1.0

_PATH_SAFE: Final = "/?&=%:@!$'()*+,;~-._[]"

_ACCEPTS: Final = Probe(path="", initial_delay_s=0, period_s=FAST_MAX_S, timeout_s=1.0)
"""Stands for "the port accepts a connection" where no readiness probe is given."""


class ProbeKind(StrEnum):
    """The three probes of a container, in the order in which they begin."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


class Verdict(StrEnum):
    """What all probes together say; the module docstring is the table."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """The probes of one container. A readiness probe of None: the port accepts a connection."""

    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None

    @classmethod
    def of(cls, container: Container) -> "ProbePlan":
        """The probes that a container asks for."""
        return cls(
            startup=container.startup_probe,
            readiness=container.readiness_probe,
            liveness=container.liveness_probe,
        )

    def probe(self, kind: ProbeKind) -> Probe | None:
        """The probe of a kind; for readiness never None."""
        if kind is ProbeKind.STARTUP:
            return self.startup
        if kind is ProbeKind.LIVENESS:
            return self.liveness
        return self.readiness or _ACCEPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The results of one probe so far."""

    asked_s: float | None = None
    """When the last try began; None before the first."""
    successes: int = 0
    """In a row, up to now."""
    failures: int = 0
    """In a row, up to now; before the first success counted once a period."""
    passed: bool = False
    """Whether it ever reached its success threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known about one process of a replica. `started_s`: monotonic start of the process."""

    started_s: float
    startup: Track = Track()
    readiness: Track = Track()
    liveness: Track = Track()
    verdict: Verdict = Verdict.STARTING
    dead_by: ProbeKind | None = None
    """Which probe made the verdict DEAD."""

    def track(self, kind: ProbeKind) -> Track:
        """The results of one probe."""
        if kind is ProbeKind.STARTUP:
            return self.startup
        return self.readiness if kind is ProbeKind.READINESS else self.liveness


def adopted(*, started_s: float, ready: bool, was_ready: bool) -> Health:
    """Health of a process that an earlier run of the autoscaler had started.

    It keeps its standing until a probe says otherwise, so that traffic never stops for a restart
    of the autoscaler; every probe is due at once.

    Args:
        started_s: Start of the process on the present monotonic clock (may be negative).
        ready: It was ready when last recorded.
        was_ready: It had been ready at some time.
    """
    passed = Track(passed=was_ready or ready)
    verdict = Verdict.STARTING
    if ready:
        verdict = Verdict.READY
    elif was_ready:
        verdict = Verdict.UNREADY
    return Health(started_s=started_s, startup=passed, readiness=passed, verdict=verdict)


def due_s(plan: ProbePlan, health: Health, kind: ProbeKind) -> float | None:
    """When a probe should be tried next.

    Returns:
        A moment on the clock of `started_s`, possibly past; None: not at present.
    """
    probe = plan.probe(kind)
    track = health.track(kind)
    if probe is None or not _active(plan, health, kind):
        return None
    if track.asked_s is None:
        delay_s = probe.initial_delay_s if kind is ProbeKind.LIVENESS else 0.0
        return health.started_s + delay_s
    hurried = kind is not ProbeKind.LIVENESS and not track.passed and track.successes == 0
    if not hurried:
        return track.asked_s + probe.period_s
    elapsed_s = track.asked_s - health.started_s
    gap_s = min(max(FAST_RATIO * elapsed_s, FAST_MIN_S), FAST_MAX_S, probe.period_s)
    return track.asked_s + gap_s


def _active(plan: ProbePlan, health: Health, kind: ProbeKind) -> bool:
    """Whether a probe has anything left to find out at present."""
    if health.verdict is Verdict.DEAD:
        return False
    if kind is ProbeKind.STARTUP:
        return not health.startup.passed
    if plan.startup is not None and not health.startup.passed:
        return False
    once = kind is ProbeKind.READINESS and plan.readiness is None
    return not (once and health.readiness.passed)


def observe(
    plan: ProbePlan, health: Health, kind: ProbeKind, *, success: bool, asked_s: float
) -> Health:
    """Take in one result.

    Args:
        plan: The container's probes.
        health: What was known before.
        kind: Which probe was tried; it must be in the plan.
        success: Whether it succeeded.
        asked_s: When the try began.
    """
    probe = plan.probe(kind)
    if probe is None:
        raise ValueError(f"the plan has no {kind} probe")
    before = health.track(kind)
    if success:
        successes = before.successes + 1
        passed = before.passed or successes >= probe.success_threshold
        track = Track(asked_s=asked_s, successes=successes, passed=passed)
    else:
        failures = before.failures + 1
        if kind is not ProbeKind.LIVENESS and not before.passed:
            failures = _elapsed_failures(probe, asked_s - health.started_s)
        track = Track(asked_s=asked_s, failures=failures, passed=before.passed)
    if kind is ProbeKind.STARTUP:
        after = replace(health, startup=track)
    elif kind is ProbeKind.READINESS:
        after = replace(health, readiness=track)
    else:
        after = replace(health, liveness=track)
    return _judge(probe, after, kind, track)


def _elapsed_failures(probe: Probe, elapsed_s: float) -> int:
    """Failures that a try once a period would have seen by now."""
    counted_s = elapsed_s - probe.initial_delay_s
    return 0 if counted_s < 0 else 1 + int(counted_s // probe.period_s)


def _judge(probe: Probe, health: Health, kind: ProbeKind, track: Track) -> Health:
    """Draw the verdict from the probe that has just been heard."""
    failed = track.failures >= probe.failure_threshold
    if kind is not ProbeKind.READINESS:
        return replace(health, verdict=Verdict.DEAD, dead_by=kind) if failed else health
    if track.successes >= probe.success_threshold:
        return replace(health, verdict=Verdict.READY)
    if failed and health.verdict is Verdict.READY:
        return replace(health, verdict=Verdict.UNREADY)
    return health


def probe_port(probe: Probe, *, container_port: int | None, port: int) -> int:
    """The port to probe on a replica that really listens on `port`.

    A probe that names no port, the container's port, or the contract's default where the
    container names none, means the replica's own port; any other is taken as it stands.
    """
    own_port = DEFAULT_PROBE_PORT if container_port is None else container_port
    return port if probe.port is None or probe.port == own_port else probe.port


def probe_request(probe: Probe, *, host: str, port: int) -> bytes:
    """The request of an HTTP probe; the owner's headers replace ours of the same name.

    Line breaks in header values become spaces and odd characters of the path are percent-encoded,
    so that no probe can be more than one request.
    """
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    headers = {"host": ("Host", f"{host}:{port}"), "user-agent": ("User-Agent", "tidegate-probe")}
    headers["accept"] = ("Accept", "*/*")
    for name, value in probe.http_headers.items():
        headers[name.lower()] = (_one_line(name), _one_line(value))
    headers["connection"] = ("Connection", "close")
    lines = [f"GET {quote(path, safe=_PATH_SAFE)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.values()]
    return "\r\n".join([*lines, "", ""]).encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())
