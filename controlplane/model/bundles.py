"""Bundles: named machine sizes, and what one replica needs. Data and small questions about it.

Which bundle a workload gets is decided in `controlplane.model.sizing`; what a pod of it looks like,
in `controlplane.model.pod_sizing`; how a catalogue is written, in `controlplane.model.catalogue`.
"""

import re
from typing import Final

import msgspec

MIB: Final = 2**20

WORKLOAD_USE: Final = "workload"
"""The use case that a bundle must have so that workloads may run on it (the contract's word)."""

VISIBLE_GPU_MEMORY: Final = 0.92
"""Least share of a GPU's nominal memory that it shows to NVML and node labels; what programs may
take where a bundle does not say it (`Bundle.gpu_visible_bytes`)."""

_COUNT: Final = re.compile(r"-[0-9]+x$")
_MAKERS: Final = frozenset({"nvidia", "amd", "intel"})
_FAMILIES: Final = {
    "tesla": "nvidia",
    "geforce": "nvidia",
    "quadro": "nvidia",
    "instinct": "amd",
    "radeon": "amd",
}
"""Product lines, and whose they are."""
_INSTINCT: Final = re.compile(r"mi[0-9]{2,}")
"""AMD's accelerators where only the model is named: MI210, MI300X."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A named size of one replica."""

    id: str
    name: str
    description: str = ""
    cpu_count: float
    """Cores, fractions allowed; above 0."""
    memory_bytes: int
    gpu_count: int = 0
    """GPUs (or MIG slices) of one replica, all on one node."""
    gpu_memory_bytes: int | None = None
    """Memory of *each* GPU. None: no GPU."""
    gpu_visible_bytes: int | None = None
    """Of that, what a program finds (`cudaMemGetInfo`). None: not stated."""
    gpu_maker: str | None = None
    """`nvidia`, `amd` or `intel`; None: no GPU."""
    gpu_type_label: str | None = None
    """The GPU's model as clients see it, for example `nvidia-a10g-1x`; None: any of the maker."""
    gpu_resource: str | None = None
    """Kubernetes' name of the GPU where it is not the maker's usual one, for example
    `nvidia.com/mig-1g.10gb`."""
    node_labels: dict[str, str] = {}
    """Labels that a Kubernetes node must have to carry it."""
    price_per_hour: float | None = None
    """Of one replica, in whatever currency the catalogue uses. None: not known."""
    use_cases: tuple[str, ...] = (WORKLOAD_USE,)


def visible_gpu_bytes(bundle: Bundle) -> int:
    """What a program finds of each GPU's memory: as stated, else the share that is always there."""
    if bundle.gpu_visible_bytes is not None:
        return bundle.gpu_visible_bytes
    return int((bundle.gpu_memory_bytes or 0) * VISIBLE_GPU_MEMORY)


class ReplicaNeeds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one replica occupies of one node. Zero: nothing that anybody stated."""

    cpu: float = 0.0
    """Cores."""
    memory_bytes: int = 0
    gpus: int = 0
    """Whole GPUs, all on the same node."""
    gpu_memory_bytes: int | None = None
    """Least memory of each GPU; None: any."""
    gpu_type: str | None = None
    """Model that each GPU must be, see `gpu_type_fits`; None: any."""


def needs_of_bundle(bundle: Bundle) -> ReplicaNeeds:
    """What a replica of this size occupies."""
    return ReplicaNeeds(
        cpu=bundle.cpu_count,
        memory_bytes=bundle.memory_bytes,
        gpus=bundle.gpu_count,
        gpu_memory_bytes=bundle.gpu_memory_bytes,
        gpu_type=bundle.gpu_type_label,
    )


def gpu_type_fits(wanted: str | None, found: str | None) -> bool:
    """Whether a GPU called `found` is one that is called `wanted` elsewhere.

    Everybody spells models differently: `NVIDIA-A10G` (old bodies), `nvidia-a10g-1x` (bundles),
    `NVIDIA A10G` (NVML), `nvidia-a100-80gb` (node labels). Case, separators, the number of GPUs,
    the maker and the product line do not count; the words that are left must begin alike, so that
    `a100` is met by `NVIDIA A100-SXM4-80GB`, but `a10` is not met by `A10G`.
    """
    if wanted is None:
        return True
    asked = _words(wanted)
    return found is not None and _words(found)[: len(asked)] == asked


def _words(label: str) -> list[str]:
    plain = _COUNT.sub("", re.sub(r"[\s_/-]+", "-", label.strip().lower()))
    return [word for word in plain.split("-") if word not in _MAKERS | _FAMILIES.keys()]


def gpu_maker(label: str) -> str | None:
    """Whose a GPU called `label` is: it says so, or its product line does. None: neither does."""
    for word in re.split(r"[\s_/-]+", label.strip().lower()):
        if word in _MAKERS:
            return word
        if word in _FAMILIES:
            return _FAMILIES[word]
        if _INSTINCT.match(word):
            return "amd"
    return None


def gpu_memory_fits(wanted_bytes: int | None, found_bytes: int | None) -> bool:
    """Whether a GPU that shows `found_bytes` is one of the nominal size `wanted_bytes`.

    A GPU sold with 24 GiB shows less of it: error correction and the driver keep up to a sixteenth
    (GDDR6 with ECC) and a little more; an A10G shows 23,028 of 24,576 MiB.
    """
    if wanted_bytes is None:
        return True
    return found_bytes is not None and found_bytes >= wanted_bytes * VISIBLE_GPU_MEMORY
