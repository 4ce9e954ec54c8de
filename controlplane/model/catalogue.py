"""How a catalogue of bundles is written, and what is wrong with one.

Pure: `controlplane.catalogue` reads the file.

    bundles:
      - id: gpu.a10g.medium       # what clients name
        name: One A10G            # shown to people; default: the id
        description: ...
        cpu_count: 8              # cores, fractions allowed
        memory_mb: 32768          # MiB, 1024 x 1024 bytes, as all sizes here
        gpu_count: 1
        gpu_memory_mb: 24576      # of each GPU, as its maker advertises it
        gpu_visible_mb: 22470     # of that, what programs find; default: 92 %
        gpu_maker: nvidia         # nvidia, amd or intel
        gpu_type_label: nvidia-a10g-1x
        gpu_resource: nvidia.com/mig-1g.10gb    # Kubernetes, only where it is not the usual name
        node_labels: {pool: gpu}                # Kubernetes, labels a node must have
        price_per_hour: 1.2       # any currency, the same for all; leave it out if unknown
        use_cases: [workload]     # without `workload`, workloads cannot have it

The keys up to `use_cases` are the contract's; `gpu_visible_mb`, `gpu_resource`, `node_labels` and
`price_per_hour` are ours.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from controlplane.model.bundles import MIB, WORKLOAD_USE, Bundle
from controlplane.model.words import did_you_mean

MAKERS: Final = ("nvidia", "amd", "intel")

_ID: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
_RESOURCE: Final = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+")
_PATH: Final = re.compile(r" - at `\$(.*)`$")
_MAX_MIB: Final = 2**30
_MAX_CORES: Final = 1_000_000
_MAX_GPUS: Final = 1_000


class CatalogueError(ValueError):
    """A catalogue is wrong; the text names the bundle, the field, and what to do."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bundle as the file has it."""

    id: str
    name: str | None = None
    description: str = ""
    cpu_count: float
    memory_mb: int
    gpu_count: int = 0
    gpu_memory_mb: int | None = None
    gpu_visible_mb: int | None = None
    gpu_maker: str | None = None
    gpu_type_label: str | None = None
    gpu_resource: str | None = None
    node_labels: dict[str, str] = {}
    price_per_hour: float | None = None
    use_cases: tuple[str, ...] = (WORKLOAD_USE,)


def parse_catalogue(raw: object) -> tuple[Bundle, ...]:
    """The bundles of a parsed catalogue file, in its order.

    Args:
        raw: What the YAML says: a mapping with the one key `bundles`.

    Raises:
        CatalogueError: Something in it is wrong.
    """
    if not isinstance(raw, Mapping) or set(raw) != {"bundles"}:
        raise CatalogueError("expected a mapping with the one key `bundles` and a list under it")
    items = raw["bundles"]
    if not isinstance(items, list):
        raise CatalogueError("bundles: expected a list; `bundles: []` is an empty catalogue")
    found: list[Bundle] = []
    for number, item in enumerate(items):
        where = f"bundles[{number}]"
        if isinstance(item, Mapping) and isinstance(item.get("id"), str):
            where += f" ({item['id']})"
        bundle = _bundle(item, where)
        if any(other.id == bundle.id for other in found):
            raise CatalogueError(f"{where}: id {bundle.id!r} comes twice: ids must differ")
        found.append(bundle)
    return tuple(found)


def _bundle(item: object, where: str) -> Bundle:
    if isinstance(item, Mapping):
        for key in item:
            if key not in _Entry.__struct_fields__:
                known = _Entry.__struct_fields__
                hint = did_you_mean(str(key), known) or f"; known: {', '.join(known)}"
                raise CatalogueError(f"{where}: unknown key {key!r}{hint}")
    try:
        entry = msgspec.convert(item, _Entry)
    except msgspec.ValidationError as exc:
        text = str(exc)
        at = _PATH.search(text)
        field = at[1] if at else ""
        raise CatalogueError(f"{where}{field}: {_PATH.sub('', text)}") from exc
    _check(entry, where)
    return Bundle(
        id=entry.id,
        name=entry.name or entry.id,
        description=entry.description,
        cpu_count=entry.cpu_count,
        memory_bytes=entry.memory_mb * MIB,
        gpu_count=entry.gpu_count,
        gpu_memory_bytes=None if entry.gpu_memory_mb is None else entry.gpu_memory_mb * MIB,
        gpu_visible_bytes=None if entry.gpu_visible_mb is None else entry.gpu_visible_mb * MIB,
        gpu_maker=entry.gpu_maker,
        gpu_type_label=entry.gpu_type_label,
        gpu_resource=entry.gpu_resource,
        node_labels=entry.node_labels,
        price_per_hour=entry.price_per_hour,
        use_cases=entry.use_cases,
    )


def _check(entry: _Entry, where: str) -> None:
    """Everything that types do not say."""
    price = entry.price_per_hour
    rules = (
        (
            _ID.fullmatch(entry.id),
            "id: use letters, digits, dots, dashes and underscores, a letter or digit at both ends,"
            " at most 200",
        ),
        (
            math.isfinite(entry.cpu_count) and 0 < entry.cpu_count <= _MAX_CORES,
            f"cpu_count: must be above 0 and at most {_MAX_CORES}, not {entry.cpu_count:g}",
        ),
        (
            0 < entry.memory_mb <= _MAX_MIB,
            f"memory_mb: must be above 0 and at most {_MAX_MIB}, not {entry.memory_mb}",
        ),
        (
            0 <= entry.gpu_count <= _MAX_GPUS,
            f"gpu_count: must be from 0 to {_MAX_GPUS}, not {entry.gpu_count}",
        ),
        (
            price is None or (math.isfinite(price) and price >= 0),
            f"price_per_hour: must be 0 or more, not {price}; leave it out if it is not known",
        ),
        (entry.use_cases, f"use_cases: name at least one, for example {WORKLOAD_USE}"),
        (
            entry.gpu_resource is None or _RESOURCE.fullmatch(entry.gpu_resource),
            f"gpu_resource: must be like nvidia.com/gpu, not {entry.gpu_resource!r}",
        ),
        *_gpu_rules(entry),
    )
    for holds, sentence in rules:
        if not holds:
            raise CatalogueError(f"{where}.{sentence}")


def _gpu_rules(entry: _Entry) -> tuple[tuple[object, str], ...]:
    if entry.gpu_count:
        memory, visible = entry.gpu_memory_mb, entry.gpu_visible_mb
        return (
            (
                memory is not None and 0 < memory <= _MAX_MIB,
                "gpu_memory_mb: a bundle with GPUs needs the memory of each, in MiB",
            ),
            (
                visible is None or 0 < visible <= (memory or 0),
                f"gpu_visible_mb: must be above 0 and at most gpu_memory_mb, not {visible}",
            ),
            (
                entry.gpu_maker in MAKERS,
                f"gpu_maker: must be one of {', '.join(MAKERS)}, not {entry.gpu_maker!r}",
            ),
        )
    gpu_fields = (
        *("gpu_memory_mb", "gpu_visible_mb", "gpu_maker", "gpu_type_label", "gpu_resource"),
    )
    stated = [name for name in gpu_fields if getattr(entry, name) is not None]
    return (
        (not stated, f"{', '.join(stated)}: stated, but gpu_count is 0: set it, or leave them out"),
    )
