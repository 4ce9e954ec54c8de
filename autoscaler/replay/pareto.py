"""Settings against each other: the front, the recommended one, and fair comparisons. Pure."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def front(items: Sequence[T], costs: Callable[[T], Sequence[float]]) -> list[T]:
    """Those that no other beats: none is as good in every cost and better in one.

    Of equals the first stays. Order is kept.

    Args:
        items: What to choose from.
        costs: Of one item, all to be small; the same number for each.
    """
    found: list[T] = []
    known: list[tuple[float, ...]] = [tuple(costs(item)) for item in items]
    for i, (item, own) in enumerate(zip(items, known, strict=True)):
        beaten = any(
            (other != own or j < i) and all(o <= c for o, c in zip(other, own, strict=True))
            for j, other in enumerate(known)
            if j != i
        )
        if not beaten:
            found.append(item)
    return found


def nearest_to_ideal(items: Sequence[T], costs: Callable[[T], Sequence[float]]) -> T:
    """The item closest to the best of each cost, each scaled to its range over the items.

    Args:
        items: At least one; usually a front.
        costs: As for `front`.
    """
    rows = [tuple(costs(item)) for item in items]
    lows = [min(column) for column in zip(*rows, strict=True)]
    spans = [max(column) - low for column, low in zip(zip(*rows, strict=True), lows, strict=True)]

    def distance(row: Sequence[float]) -> float:
        return sum(
            ((c - low) / span) ** 2 if span else 0.0
            for c, low, span in zip(row, lows, spans, strict=True)
        )

    return items[min(range(len(rows)), key=lambda i: distance(rows[i]))]


def at(points: Sequence[tuple[float, float]], x: float) -> float | None:
    """What a front costs at `x`, straight between its points; None outside of them.

    Args:
        points: Of a front in two costs, in any order.
        x: The first cost, for example replica-hours.
    """
    line = sorted(points)
    if not line or not line[0][0] <= x <= line[-1][0]:
        return None
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 <= x <= x1 and x1 > x0:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return line[0][1]


def swapped(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same front, read the other way: the first cost at a given second one."""
    return [(y, x) for x, y in points]
