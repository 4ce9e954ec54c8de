"""Requests that wait for a proton without traffic go on to one that has some.

A switch, a rollback or a candidate that fails takes a proton's weight away. What waits for it then
would be answered late by replicas that nobody cares for any more, or not at all. Requests that
name their proton (`protonId`) stay where they are.
"""

from typing import TYPE_CHECKING

from gateway.core.balancing import by_weight
from gateway.core.load import ABORTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.net.endpoints import ProtonRoute, WorkloadRoute
    from gateway.net.flow import Exchange


def another(
    exchange: "Exchange", route: "WorkloadRoute | None", random: "Callable[[], float]"
) -> "ProtonRoute | None":
    """The proton that a waiting request goes on to; None: it stays.

    Args:
        exchange: The request.
        route: Its workload; None when that is gone.
        random: Uniform on [0, 1).
    """
    proton, target = exchange.proton, exchange.head.invoke
    if proton.weight or route is None or target is None or target.pin is not None:
        return None
    found = by_weight(route.protons, random)
    return None if found is proton else found


def move(exchange: "Exchange", proton: "ProtonRoute", *, now_s: float, minute: int) -> None:
    """Count a waiting request with another proton; its place in the room is the caller's business.

    The proton that it leaves counts it as aborted: its counters only ever grow.

    Args:
        exchange: The request.
        proton: Where it goes.
        now_s: Monotonic clock.
        minute: Epoch minute.
    """
    meter = exchange.proton.meter
    meter.discount(minute)
    meter.finish(now_s, ABORTED, sent=False)
    exchange.proton = proton
    proton.meter.start(now_s, minute)
    if exchange.session is not None:
        exchange.session.endpoint = None  # it lived on a replica of the other proton
