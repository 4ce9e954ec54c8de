"""What replicas say of themselves on their Prometheus pages: one number per replica, one wish.

    policy's metric       names on the page, the first that is there counts           unit
    --------------------  ----------------------------------------------------------  -----
    gpuCacheUtilization   vllm:kv_cache_usage_perc, vllm:gpu_cache_usage_perc (vLLM   share
                          from 0.10, before), gpu_cache_usage_perc (NIM),
                          sglang:token_usage
    gpuRequestQueueDepth  vllm:num_requests_waiting, num_requests_waiting (NIM),      count
                          sglang:num_queue_reqs, tgi_queue_size
    any other             itself; with `_total` where it is not there without         its own

The names are those of docs.vllm.ai/en/stable/usage/metrics, docs.nvidia.com/nim/large-language-
models/latest/observability.html, docs.sglang.io/references/production_metrics.html and
huggingface.co/docs/text-generation-inference/reference/metrics.

*Shares* are 0 to 1 on all these pages, whatever their names say. Targets may be given as a share
(up to 1) or in percent (above 1): 0.8 and 80 are the same. A page with several series of a name
(one per model or engine) counts as their mean for shares, and as their sum for everything else.
Counters count as their rate per second.

Only the lines asked for are read: of a page of 1 MiB that takes 0.7 ms per name, where
`prometheus_client.parser` takes 380 ms for the whole.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from autoscaler.core.policy import CPU, GATEWAY_METRICS, Wish, utilisation_wish

CACHE_USE: Final = "gpuCacheUtilization"
QUEUE_DEPTH: Final = "gpuRequestQueueDepth"
RUNNING: Final = "requests running"
WAITING: Final = "requests waiting"
COMPARED: Final = frozenset({RUNNING, WAITING})
"""No policies' metrics (those have no spaces): gateways' counts are compared with them where they
are told, and nobody misses them."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    CACHE_USE: (
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
        "gpu_cache_usage_perc",
        "sglang:token_usage",
    ),
    QUEUE_DEPTH: (
        "vllm:num_requests_waiting",
        "num_requests_waiting",
        "sglang:num_queue_reqs",
        "tgi_queue_size",
    ),
    WAITING: ("vllm:num_requests_waiting", "num_requests_waiting", "sglang:num_queue_reqs"),
    RUNNING: (
        "vllm:num_requests_running",
        "num_requests_running",
        "sglang:num_running_reqs",
    ),
}

SHARES: Final = frozenset({CACHE_USE, *NAMES[CACHE_USE]})
"""What is 0 to 1."""

MAX_SERIES: Final = 1000
"""Most series of one name; a page with more of them is not a page about one replica. Reading them
all takes 1.2 ms."""

_REST: Final = rb'(?:\{(?:[^"}\n]|"(?:[^"\\\n]|\\[^\n])*+")*+\})?[ \t]++([^ \t\r\n]++)[^\n]*+'
"""What follows a sample's name: labels, value, and a timestamp or exemplar that nobody needs."""

_LARGEST: Final = 1e18
"""Larger values, infinity and NaN mean nothing that could be divided among replicas."""

_CUMULATIVE_PARTS: Final = ("_sum", "_count")


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What one page says about one name."""

    value: float
    cumulative: bool = False
    """A counter: only its growth means anything."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """A reading and when it was taken."""

    at_s: float
    """Monotonic."""
    reading: Reading


def running_in_all(
    running: Sequence[float | None], waiting: Sequence[float | None]
) -> float | None:
    """Requests in all ready replicas by their own count; None unless each of them tells both."""
    told = [value for value in (*running, *waiting) if value is not None]
    whole = bool(running) and len(told) == len(running) + len(waiting)
    return math.fsum(told) if whole else None


def is_scraped(metric: str) -> bool:
    """Whether a policy's metric comes from the replicas' own pages."""
    return metric != CPU and metric not in GATEWAY_METRICS


def names_of(metric: str) -> tuple[str, ...]:
    """The names on a page that a policy's metric may have, best first."""
    return NAMES.get(metric) or (metric, f"{metric}_total")


def read_page(page: bytes, metrics: Iterable[str]) -> dict[str, Reading]:
    """Read what is asked for from a page in Prometheus' text format, or in OpenMetrics'.

    Args:
        page: The page; anything at all, it comes from the application.
        metrics: Metrics as policies name them.

    Returns:
        What is there, by metric. What is no number, or beyond `_LARGEST`, counts as not there.
    """
    text = b"\n" + page
    found = {}
    for metric in metrics:
        for name in names_of(metric):
            values = _values(text, name.encode())
            if values:
                total = math.fsum(values)
                found[metric] = Reading(
                    total / len(values) if metric in SHARES else total,
                    _is_cumulative(text, name),
                )
                break
    return found


def _values(text: bytes, name: bytes) -> list[float]:
    values: list[float] = []
    lines = re.compile(b"\n" + re.escape(name) + _REST).finditer(text)
    for series, line in enumerate(lines, start=1):
        if series > MAX_SERIES:
            return []
        value = _number(line[1])
        if value is not None:
            values.append(value)
    return values


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def _is_cumulative(text: bytes, name: str) -> bool:
    kind = _kind(text, name)
    if kind:
        return kind == b"counter"
    for part in _CUMULATIVE_PARTS:
        if name.endswith(part):
            return _kind(text, name.removesuffix(part)) in {b"histogram", b"summary"}
    return name.endswith("_total")


def _kind(text: bytes, name: str) -> bytes:
    needle = b"\n# TYPE %b " % name.encode()
    at = text.find(needle)
    if at < 0:
        return b""
    rest = text[at + len(needle) : at + len(needle) + 32]
    return rest.split(b"\n", 1)[0].strip()


def level(samples: Sequence[Sample], *, now_s: float, max_age_s: float) -> float | None:
    """What a replica's samples of one metric mean now.

    Args:
        samples: Oldest first.
        now_s: Monotonic clock.
        max_age_s: Older than this, the newest one says nothing any more.

    Returns:
        A gauge's last value; a counter's growth per second over the samples, where a value below
        the one before is a counter that began anew. None: nothing is known.
    """
    if not samples or now_s - samples[-1].at_s > max_age_s:
        return None
    last = samples[-1]
    if not last.reading.cumulative:
        return last.reading.value
    elapsed_s = last.at_s - samples[0].at_s
    if elapsed_s <= 0:
        return None
    grown = 0.0
    for before, after in pairwise(samples):
        old, new = before.reading.value, after.reading.value
        grown += new - old if new >= old else new
    return grown / elapsed_s


def scraped_wish(
    metric: str,
    target: float,
    values: Sequence[float | None],
    *,
    pending: int,
    current: int,
    tolerance: float,
    trouble: str = "",
) -> Wish:
    """Size for the mean of a metric over the replicas, by the HPA's rules for pods' own metrics.

    Those are the rules of CPU (see `policy.cpu_wish`) but for one: against shrinking, a replica
    that is not measured counts as being right on its target (`calcPlainMetricReplicas` of
    kubernetes/pkg/controller/podautoscaler/replica_calculator.go).

    Args:
        metric: As the policy names it.
        target: Per replica; of a share in percent when above 1.
        values: One per ready replica; None where it is not known.
        pending: Replicas on their way to serve.
        current: The present wish.
        tolerance: Share of the target within which nothing changes.
        trouble: Why nothing is known, where it is not.
    """
    if not any(value is not None for value in values):
        because = trouble or "no ready replica has been asked yet"
        return Wish(metric=metric, stable=None, note=because)
    unit = ""
    if metric in SHARES:
        unit = "%"
        values = [None if value is None else 100.0 * value for value in values]
        target = 100.0 * target if target <= 1 else target
    return utilisation_wish(
        metric,
        target,
        values,
        pending=pending,
        current=current,
        tolerance=tolerance,
        unmeasured=target,
        unit=unit,
    )
