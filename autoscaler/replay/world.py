"""What is around the autoscaler in a simulation: gateways, replicas, and their prices."""

from dataclasses import dataclass, field

from autoscaler.replay.chance import Draw, constant


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What every scaler of a comparison meets alike."""

    workers: int = 1
    """Gateway workers; connections, and so requests, are spread over them by chance."""
    replica_limit: int = 1024
    """Most requests in flight per replica, over all workers; beyond it they wait in the gateway."""
    concurrency: int | None = None
    """Requests that a replica works on at a time; more wait inside it. None: all that it gets."""
    queue_limit: int = 10_000
    """Most waiting requests per worker; beyond it 503."""
    hold_timeout_s: float = 300.0
    """How long a request may wait in the gateway; then 504."""
    start_up: Draw = field(default_factory=lambda: constant(5.0))
    """From asking for a replica until the gateway may send to it."""
    drain_timeout_s: float = 60.0
    """How long a leaving replica may finish its requests; then they are cut."""
    initial: int = 0
    """Replicas ready at the beginning."""
    gpus: float = 0.0
    """GPUs per replica."""
    price_per_hour: float | None = None
    """Of one replica; None: not known."""
    currency: str = "USD"
