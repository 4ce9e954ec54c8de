"""Bundles: named machine sizes."""

from typing import Self

from pydantic import Field

from controlplane.model.bundles import Bundle
from controlplane.wire.base import Number, Shape, maybe, whole


class ResolvedBundle(Shape):
    """The bundle that a group's replicas have."""

    id: str
    cpu_count: Number = Field(description="Cores.")
    memory_bytes: int
    gpu_count: int
    gpu_maker: str | None
    gpu_type_label: str | None

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The answer's form."""
        return cls(
            id=bundle.id,
            cpu_count=whole(bundle.cpu_count),
            memory_bytes=bundle.memory_bytes,
            gpu_count=bundle.gpu_count,
            gpu_maker=bundle.gpu_maker,
            gpu_type_label=bundle.gpu_type_label,
        )


class BundleFormatted(Shape):
    """One bundle of the catalogue."""

    id: str
    name: str
    description: str
    cpu_count: Number = Field(description="Cores.")
    memory_bytes: int
    gpu_count: int
    gpu_maker: str | None
    gpu_type_label: str | None
    gpu_memory_bytes: int | None = Field(description="Memory of each GPU; our extension.")
    price_per_hour: Number | None = Field(
        description="Of one replica, in the catalogue's currency; our extension."
    )
    use_cases: list[str] = Field(
        description="What it may be used for; without `workload`, workloads cannot have it."
    )

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The answer's form."""
        return cls(
            id=bundle.id,
            name=bundle.name,
            description=bundle.description,
            cpu_count=whole(bundle.cpu_count),
            memory_bytes=bundle.memory_bytes,
            gpu_count=bundle.gpu_count,
            gpu_maker=bundle.gpu_maker,
            gpu_type_label=bundle.gpu_type_label,
            gpu_memory_bytes=bundle.gpu_memory_bytes,
            price_per_hour=maybe(bundle.price_per_hour, whole),
            use_cases=list(bundle.use_cases),
        )
