"""What a gateway worker says about its load, in cumulative numbers only.

Cumulative values with a worker's instance id stay exact under late, lost or doubled reports:
the average load over a window is a difference of integrals divided by a difference of clocks.
"""

import msgspec


class ProtonNumbers(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one proton's counters in one worker, those that its count of replicas is decided by.

    A twentieth of `ProtonLoad` as stored: the autoscaler reads them of all protons, many times.
    Stored without names, by place: fields may only be appended, with a default, so that processes
    of two versions read each other's.
    """

    started: int = 0
    in_flight: int = 0
    queued: int = 0
    load_seconds: float = 0.0
    """Integral of (queued + in flight) over time up to the worker's `clock_s`: request-seconds."""
    queued_seconds: float = 0.0
    """The same of queued alone: request-seconds."""
    refused: int = 0
    """Of those that ended: answered by the gateway itself."""


class ProtonLoad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One proton's counters in one worker since the worker started.

    Always true: `started == sum(finished) + in_flight + queued`.
    """

    workload_id: str
    started: int = 0
    finished: dict[str, int] = {}
    """By class: `1xx` (upgraded), `2xx` .. `5xx`, `refused` (answered by the gateway itself),
    `aborted` (client or replica vanished after the response had begun, or before any)."""
    in_flight: int = 0
    queued: int = 0
    load_seconds: float = 0.0
    """Integral of (queued + in flight) over time up to the report's `clock_s`."""
    queued_seconds: float = 0.0
    refused_user: int = 0
    """Of `refused`: with a 4xx, for the caller's sake (quotas, bodies that are too large)."""
    cold_starts: int = 0
    """Requests that waited because no replica was ready."""
    bytes_in: int = 0
    bytes_out: int = 0
    response_time: dict[int, int] = {}
    """Log-linear histogram: bucket index to count, see `controlplane.model.histograms`. Of what
    replicas answered; tunnels, refused and aborted requests are not in it."""
    response_seconds: float = 0.0
    """Sum of the response times."""
    starts_by_minute: dict[int, int] = {}
    """Epoch minute to requests started in it by this worker: the last 61 minutes at most."""

    def numbers(self) -> ProtonNumbers:
        """What decisions need of it."""
        return ProtonNumbers(
            self.started,
            self.in_flight,
            self.queued,
            self.load_seconds,
            self.queued_seconds,
            self.finished.get("refused", 0),
        )


class OpenStreams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tunnels (WebSockets and the like) that are open: requests that do not end by themselves."""

    open: int
    active: int = 0
    """Of them, with bytes either way in the last `ACTIVE_S`."""
    silent_s: float = 0.0
    """For how long nothing has moved in the one that has been silent for longest."""
    client: str = ""
    """Who opened that one: an address, or `unix`."""
    protocol: str = ""
    """What they speak, in lower case, as their requests named it; empty: not all the same."""


ACTIVE_S = 10.0
"""A stream without a byte for longer is merely open."""


class WorkerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker at one moment, whatever protons it serves."""

    worker_id: str
    """Unique per process start: a restarted worker is another worker."""
    clock_s: float
    """The worker's monotonic clock at the moment of the integrals."""
    revision: int
    """The store revision this worker's routes reflect: proof that it knows who is draining."""
    draining: bool = False
    """The worker is shutting down."""
    endpoints: dict[str, int] = {}
    """Replica id to requests in flight from this worker; zeros are left out."""
    streams: dict[str, OpenStreams] = {}
    """Replica id to the tunnels among those requests; a worker of an older version says nothing."""


class WorkerNumbers(WorkerState, frozen=True, kw_only=True, omit_defaults=True):
    """Of one worker's report, what replicas are decided by."""

    protons: dict[str, ProtonNumbers] = {}


class LoadReport(WorkerState, frozen=True, kw_only=True, omit_defaults=True):
    """One worker's whole state at one moment."""

    sent_at: float
    """Wall clock, epoch seconds."""
    protons: dict[str, ProtonLoad] = {}

    def numbers(self) -> WorkerNumbers:
        """What decisions need of it."""
        return WorkerNumbers(
            worker_id=self.worker_id,
            clock_s=self.clock_s,
            revision=self.revision,
            draining=self.draining,
            endpoints=self.endpoints,
            streams=self.streams,
            protons={proton_id: load.numbers() for proton_id, load in self.protons.items()},
        )


class UsageNews(msgspec.Struct, frozen=True, array_like=True):
    """What one gateway worker has let through since it last said so, where there are quotas."""

    worker_id: str
    books: dict[str, dict[str, tuple[int, int]]]
    """Workload to caller to new requests, and how many of the caller's are waiting or running."""
