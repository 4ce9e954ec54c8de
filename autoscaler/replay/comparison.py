"""Several scalers over the same trace, in the same world, with the same chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscaler.replay.chance import Service
from autoscaler.replay.outcome import Outcome
from autoscaler.replay.scaler import Scaler
from autoscaler.replay.simulate import run
from autoscaler.replay.traces import Trace, with_service
from autoscaler.replay.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What every scaler made of one trace."""

    trace: Trace
    world: World
    seed: int
    outcomes: Sequence[Outcome]


def compare(
    trace: Trace,
    world: World,
    scalers: Sequence[Scaler],
    *,
    service: Service,
    seed: int,
    tail_s: float = 0.0,
    on_progress: Callable[[str, float], None] | None = None,
) -> Comparison:
    """Run a trace once per scaler: arrivals, service times and start-up times are the same.

    Args:
        trace: Read once per scaler.
        world: Gateways and replicas.
        scalers: Unused so far.
        service: How long requests take.
        seed: Of all that is drawn.
        tail_s: Simulate this much longer than the trace.
        on_progress: Told the scaler's name and the simulated time.

    Raises:
        ReplayError: The trace is wrong, or a service time is not known.
    """
    outcomes = [
        run(
            with_service(trace.read(), service, seed=seed, name=trace.name),
            world,
            scaler,
            seed=seed + 1,
            duration_s=trace.duration_s,
            tail_s=tail_s,
            on_progress=_told(on_progress, scaler.name),
        )
        for scaler in scalers
    ]
    return Comparison(trace=trace, world=world, seed=seed, outcomes=outcomes)


def _told(
    on_progress: Callable[[str, float], None] | None, name: str
) -> Callable[[float], None] | None:
    if on_progress is None:
        return None
    return lambda now_s: on_progress(name, now_s)
