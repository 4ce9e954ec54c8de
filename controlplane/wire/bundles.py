"""Bundles: named machine sizes."""

from pydantic import Field

from controlplane.wire.base import Shape


class BundleFormatted(Shape):
    """One bundle."""

    id: str
    name: str
    cpu_count: float
    memory_bytes: int
    gpu_count: int
    gpu_maker: str | None
    gpu_type_label: str | None
    use_cases: list[str] = Field(description="What it may be used for; `workload` is ours.")
