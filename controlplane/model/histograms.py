"""Reading response-time histograms: log-linear, mergeable, any quantile within 2 %.

`gateway.core.load.bucket` fills them, on the hot path; here is its inverse, for everybody who reads
reports. Below 32 us every microsecond has an index of its own; above, every power of two is cut in
32, so that the middle of a bucket is within 1.6 % of all durations in it. Histograms are mappings
of index to count: two are merged by adding, and a later one minus an earlier one is what happened
in between.
"""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

SUB_BITS: Final = 5
"""32 buckets per power of two."""


def middle_s(index: int) -> float:
    """The duration in the middle of a bucket, seconds."""
    bits = max((index >> SUB_BITS) - 1, 0)
    low = (index - (bits << SUB_BITS)) << bits
    return (low + (1 << bits) / 2) / 1e6


def nearest_rank(count: int, q: float) -> int:
    """Which of `count` ascending values is their `q` quantile (0 to 1), from 1."""
    # Rounded first, or 0.07 of 100 (7.000000000000001) would be the 8th.
    return max(1, math.ceil(round(q * count, 6)))


def quantile_s(histogram: Mapping[int, int], q: float) -> float | None:
    """The `q` quantile (0 to 1) of a histogram in seconds; None when it is empty.

    By nearest rank: the smallest duration that at least the share `q` of all does not exceed, so
    that p95 of two is the larger, never the smaller.
    """
    total = sum(histogram.values())
    if not total:
        return None
    rank = nearest_rank(total, q)
    indices = sorted(histogram)
    up_to = accumulate(histogram[index] for index in indices)
    return middle_s(next(index for index, seen in zip(indices, up_to, strict=True) if seen >= rank))


def slower_than(histogram: Mapping[int, int], threshold_s: float) -> int:
    """How many took longer than `threshold_s`; exact but for those within 2 % of it."""
    return sum(count for index, count in histogram.items() if middle_s(index) > threshold_s)
