"""A scaling decision as a record: what was seen, each step's number, and why."""

from enum import StrEnum

import msgspec

from controlplane.model.grants import Grant


class Reason(StrEnum):
    """Why a proton should have this many replicas: log field, metric label and API field."""

    ON_TARGET = "on_target"
    """The policies' wish, unchanged."""
    WAKE_UP = "wake_up"
    """Requests wait and nothing runs."""
    IDLE = "idle"
    """No load for the whole cooldown: to zero."""
    COOLDOWN = "cooldown"
    """Nothing to do, but the cooldown before zero still runs."""
    PANIC = "panic"
    """The short window says burst: never down, up on the short window's wish."""
    AT_MIN = "at_min"
    SCHEDULED = "scheduled"
    """The minimum of a schedule that holds now, or that begins as soon as a replica is ready."""
    FORECAST = "forecast"
    """More is expected by the time that a replica started now is ready."""
    AT_MAX = "at_max"
    SCALE_UP_LIMITED = "scale_up_limited"
    SCALE_DOWN_LIMITED = "scale_down_limited"
    STABILISING = "stabilising"
    """A higher wish within the stabilisation window holds the count up."""
    NO_DATA = "no_data"
    """No fresh reports: silence is not idleness, the count stays."""
    LOW_QUALITY = "low_quality"
    """The numbers are too thin, too old or contradict each other: the count may rise, not fall."""
    MIN_RUN_TIME = "min_run_time"
    """Replicas that started only lately are not taken away yet."""
    CAPACITY = "capacity"
    """There is no capacity for all of it: `grant` says how many may run, and who has the rest."""
    FIXED = "fixed"
    """`replicaCount`: no autoscaling."""
    STOPPED = "stopped"
    ERRORED = "errored"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a decision: what came in, what came out, in one short sentence."""

    name: str
    """For example `policy:httpRequestsConcurrency`, `damping`, `bounds`."""
    value: float
    """The replica count after this step (a policy's own wish for policy steps)."""
    note: str
    """The arithmetic, for example `ceil(20.1 / 10) = 3`."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How many replicas one proton should have, with the reason."""

    id: str
    at: float
    workload_id: str
    proton_id: str
    replicas: int
    previous_replicas: int
    reason: Reason
    steps: tuple[Step, ...] = ()
    inputs: dict[str, float | None] = {}
    """The observation in numbers: load, queued, in_flight, mean_stable, mean_panic, ready,
    pending, coverage_ratio, hourly, cpu_percent."""
    next: str = ""
    """What would change it: `2 more in flight -> 4; to 0 in 12 s if quiet`."""
    basis: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """All that it was made from, as JSON that only the autoscaler reads: the means to make it
    again. Absent in records of older versions."""
    grant: Grant | None = None
    """What capacity arbitration left of `replicas`; None: all of it."""
    code: str = ""
    """The version of the code that made it; another version may decide otherwise."""
