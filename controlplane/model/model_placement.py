"""On which bundle, or on how many GPUs, a language model runs, and how many requests it takes."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from controlplane.model.bundles import WORKLOAD_USE, Bundle, visible_gpu_bytes
from controlplane.model.model_memory import (
    GIB,
    Demand,
    Footprint,
    divides,
    footprint,
    possible_gpus,
    requests_that_fit,
    usable_bytes,
)
from controlplane.model.model_shape import ModelShape
from controlplane.model.sizing import cheapest_first

MOST_GPUS: Final = 16
"""GPUs of one node; a replica does not span nodes."""

TARGET_RATIO: Final = 0.7
"""Share of what fits that scaling aims for, so that a new replica is ready before the cache is
full: Knative's default `container-concurrency-target-percentage`."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A bundle that will not do, and why."""

    bundle: str
    reason: str


class Placement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a replica runs."""

    bundle: str | None
    """None: no catalogue was asked, or nothing in it fits."""
    gpus: int
    gpu_memory_bytes: int
    """Of each GPU, as it is sold."""
    visible_bytes: int
    """Of each GPU, what programs find."""
    usable_bytes: int
    """Of each GPU."""
    footprint: Footprint
    concurrency_limit: int
    """Requests that may have their whole context in memory."""
    concurrency_target: int
    """What `httpRequestsConcurrency` should aim for per replica."""
    price_per_hour: float | None = None
    """The bundle's; None: not known."""


def place_on_bundles(
    shape: ModelShape, demand: Demand, catalogue: Sequence[Bundle]
) -> tuple[Placement | None, tuple[Rejection, ...]]:
    """The cheapest bundle (without prices: the smallest) that takes the model and its requests.

    Returns:
        It, or None; and why the bundles with GPUs that come before it will not do.
    """
    rejected: list[Rejection] = []
    for bundle in cheapest_first(b for b in catalogue if WORKLOAD_USE in b.use_cases):
        if not bundle.gpu_count or bundle.gpu_memory_bytes is None:
            continue
        visible = visible_gpu_bytes(bundle)
        why = divides(shape, bundle.gpu_count) or _too_small(
            shape, demand, gpus=bundle.gpu_count, visible_bytes=visible
        )
        if why is None:
            found = _placed(
                shape, demand, gpus=bundle.gpu_count, visible_bytes=visible, bundle=bundle
            )
            return found, tuple(rejected)
        rejected.append(Rejection(bundle=bundle.id, reason=why))
    return None, tuple(rejected)


def place_on_gpus(
    shape: ModelShape, demand: Demand, *, visible_bytes: int
) -> tuple[Placement | None, tuple[Rejection, ...]]:
    """The fewest GPUs that show this much memory to programs; returns as `place_on_bundles`.

    Numbers of GPUs that cannot share the model are one entry, after the others.
    """
    rejected: list[Rejection] = []
    uneven: list[int] = []
    placed = None
    for gpus in range(1, MOST_GPUS + 1):
        if divides(shape, gpus):
            uneven.append(gpus)
            continue
        why = _too_small(shape, demand, gpus=gpus, visible_bytes=visible_bytes)
        if why is None:
            placed = _placed(shape, demand, gpus=gpus, visible_bytes=visible_bytes)
            break
        rejected.append(Rejection(bundle=_gpus(gpus), reason=why))
    if uneven:
        counts = ", ".join(map(str, uneven))
        rejected.append(
            Rejection(bundle=f"{counts} GPUs", reason=f"{_heads(shape)} do not divide evenly")
        )
    return placed, tuple(rejected)


def needed_gpu_memory(shape: ModelShape, demand: Demand) -> list[tuple[int, int]]:
    """For each number of GPUs that can share the model: the memory each must show to programs."""
    return [
        (gpus, math.ceil(footprint(shape, demand, gpus=gpus).total_bytes / demand.utilisation))
        for gpus in possible_gpus(shape, MOST_GPUS)
    ]


def _too_small(shape: ModelShape, demand: Demand, *, gpus: int, visible_bytes: int) -> str | None:
    fits = requests_that_fit(shape, demand, gpus=gpus, visible_bytes=visible_bytes)
    if fits >= demand.concurrency:
        return None
    size = footprint(shape, demand, gpus=gpus)
    usable = usable_bytes(visible_bytes, demand) / GIB
    if size.fixed_bytes / GIB > usable:
        return (
            f"{size.fixed_bytes / GIB:.1f} GiB without any request, {usable:.1f} GiB usable"
            " of each GPU"
        )
    enough = "not enough for 1 request"
    if fits:
        enough = f"enough for {fits} {'request' if fits == 1 else 'requests'}"
    return f"{size.total_bytes / GIB:.1f} GiB needed, {usable:.1f} GiB usable of each GPU: {enough}"


def _placed(
    shape: ModelShape,
    demand: Demand,
    *,
    gpus: int,
    visible_bytes: int,
    bundle: Bundle | None = None,
) -> Placement:
    fits = requests_that_fit(shape, demand, gpus=gpus, visible_bytes=visible_bytes)
    sold = visible_bytes if bundle is None else bundle.gpu_memory_bytes
    return Placement(
        bundle=None if bundle is None else bundle.id,
        price_per_hour=None if bundle is None else bundle.price_per_hour,
        gpus=gpus,
        gpu_memory_bytes=sold or visible_bytes,
        visible_bytes=visible_bytes,
        usable_bytes=usable_bytes(visible_bytes, demand),
        footprint=footprint(shape, demand, gpus=gpus),
        concurrency_limit=fits,
        concurrency_target=max(1, math.floor(fits * TARGET_RATIO)),
    )


def _heads(shape: ModelShape) -> str:
    few = shape.latent is None and shape.kv_heads < shape.heads
    return f"{shape.heads} heads" + (f" and {shape.kv_heads} KV heads" if few else "")


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"
