"""Bundles: what a replica of one occupies, and which GPU is one."""

import msgspec
import pytest

from controlplane.model.bundles import (
    MIB,
    Bundle,
    ReplicaNeeds,
    gpu_maker,
    gpu_memory_fits,
    gpu_type_fits,
    needs_of_bundle,
    visible_gpu_bytes,
)


def test_a_replica_occupies_all_of_its_bundle():
    bundle = Bundle(
        id="b",
        name="b",
        cpu_count=8,
        memory_bytes=32,
        gpu_count=2,
        gpu_memory_bytes=24,
        gpu_type_label="nvidia-a10g-2x",
    )
    assert needs_of_bundle(bundle) == ReplicaNeeds(
        cpu=8, memory_bytes=32, gpus=2, gpu_memory_bytes=24, gpu_type="nvidia-a10g-2x"
    )


@pytest.mark.parametrize(
    ("wanted", "found", "fits"),
    [
        pytest.param(None, None, True, id="any-type-also-none"),
        pytest.param("NVIDIA-A10G", "nvidia-a10g-1x", True, id="old-body-and-bundle"),
        pytest.param("nvidia-a10g-4x", "NVIDIA A10G", True, id="bundle-and-driver"),
        pytest.param("a100", "NVIDIA A100-SXM4-80GB", True, id="less-said-than-found"),
        pytest.param("nvidia-a100-80gb", "nvidia-a100", False, id="more-said-than-found"),
        pytest.param("a10", "NVIDIA A10G", False, id="a-beginning-of-a-word-is-not-the-word"),
        pytest.param("nvidia-tesla-t4", "Tesla T4", True, id="product-line-does-not-count"),
        pytest.param("amd_instinct/mi300x", "AMD Instinct MI300X", True, id="separators"),
        pytest.param("l4", None, False, id="no-gpu-is-no-l4"),
    ],
)
def test_gpu_types_fit_however_they_are_spelled(wanted, found, fits):
    assert gpu_type_fits(wanted, found) is fits


@pytest.mark.parametrize(
    ("label", "maker"),
    [
        ("amd-mi300x", "amd"),
        ("MI210", "amd"),
        ("Radeon Pro W7900", "amd"),
        ("NVIDIA A10G", "nvidia"),
        ("Tesla T4", "nvidia"),
        ("Intel Data Center GPU Max 1550", "intel"),
        ("l4", None),
        ("mig-1g.10gb", None),
        ("", None),
    ],
)
def test_a_gpu_s_type_says_whose_it_is(label, maker):
    assert gpu_maker(label) == maker


def test_programs_find_what_the_catalogue_says_else_the_share_that_is_always_there():
    bundle = Bundle(id="x", name="x", cpu_count=1, memory_bytes=1)
    a100 = msgspec.structs.replace(bundle, gpu_count=1, gpu_memory_bytes=1000)
    assert visible_gpu_bytes(a100) == 920
    assert visible_gpu_bytes(msgspec.structs.replace(a100, gpu_visible_bytes=990)) == 990
    assert visible_gpu_bytes(bundle) == 0


@pytest.mark.parametrize(
    ("wanted", "found", "fits"),
    [
        pytest.param(None, None, True, id="any"),
        pytest.param(24_576 * MIB, 23_028 * MIB, True, id="a10g-shows-less-than-sold"),
        pytest.param(24_576 * MIB, 16_384 * MIB, False, id="16-is-not-24"),
        pytest.param(1, None, False, id="no-gpu-has-no-memory"),
    ],
)
def test_gpu_memory_fits_as_sold(wanted, found, fits):
    assert gpu_memory_fits(wanted, found) is fits
