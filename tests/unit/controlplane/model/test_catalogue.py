"""The catalogue file: what it may say, and a sentence for everything that it may not."""

import re

import pytest

from controlplane.model.bundles import MIB, Bundle
from controlplane.model.catalogue import CatalogueError, parse_catalogue

CPU = {"id": "cpu.small", "cpu_count": 1, "memory_mb": 512}
GPU = CPU | {
    "id": "gpu.medium",
    "gpu_count": 1,
    "gpu_memory_mb": 24576,
    "gpu_maker": "nvidia",
    "gpu_type_label": "nvidia-a10g-1x",
}


def parse(*items: object) -> tuple[Bundle, ...]:
    return parse_catalogue({"bundles": list(items)})


def test_a_bundle_needs_an_id_cores_and_memory_only():
    (bundle,) = parse(CPU)
    assert bundle == Bundle(
        id="cpu.small", name="cpu.small", cpu_count=1, memory_bytes=512 * MIB, gpu_count=0
    )
    assert bundle.use_cases == ("workload",)


def test_a_gpu_bundle_says_everything():
    extras = {
        "name": "One A10G",
        "description": "d",
        "gpu_visible_mb": 22470,
        "gpu_resource": "nvidia.com/mig-1g.10gb",
        "node_labels": {"pool": "gpu"},
        "price_per_hour": 1.25,
        "use_cases": ["workload", "notebook"],
    }
    assert parse(GPU | extras) == (
        Bundle(
            id="gpu.medium",
            name="One A10G",
            description="d",
            cpu_count=1,
            memory_bytes=512 * MIB,
            gpu_count=1,
            gpu_memory_bytes=24576 * MIB,
            gpu_visible_bytes=22470 * MIB,
            gpu_maker="nvidia",
            gpu_type_label="nvidia-a10g-1x",
            gpu_resource="nvidia.com/mig-1g.10gb",
            node_labels={"pool": "gpu"},
            price_per_hour=1.25,
            use_cases=("workload", "notebook"),
        ),
    )


def test_the_order_of_the_file_is_kept_and_an_empty_catalogue_is_one():
    assert [bundle.id for bundle in parse(GPU, CPU)] == ["gpu.medium", "cpu.small"]
    assert parse() == ()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "expected a mapping with the one key `bundles`"),
        ([], "expected a mapping"),
        ({"bundle": []}, "expected a mapping"),
        ({"bundles": [], "more": 1}, "expected a mapping"),
        ({"bundles": {}}, "bundles: expected a list"),
    ],
)
def test_another_form_is_refused(raw, said):
    with pytest.raises(CatalogueError, match=re.escape(said)):
        parse_catalogue(raw)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("cpu.small", "bundles[0]: Expected `object`, got `str`"),
        ({"cpu_count": 1}, "bundles[0]: Object missing required field `id`"),
        (
            {**CPU, "memory": 1},
            "bundles[0] (cpu.small): unknown key 'memory', did you mean 'memory_mb'",
        ),
        ({**CPU, "zzz": 1}, "unknown key 'zzz'; known: id, name"),
        ({**CPU, 7: 1}, "unknown key 7"),
        ({**CPU, "memory_mb": "1GB"}, "(cpu.small).memory_mb: Expected `int`, got `str`"),
        ({**CPU, "id": ""}, "id: use letters"),
        ({**CPU, "id": "a b"}, "id: use letters"),
        ({**CPU, "id": "-a"}, "id: use letters"),
        ({**CPU, "id": "a" * 201}, "at most 200"),
        ({**CPU, "cpu_count": 0}, "cpu_count: must be above 0"),
        ({**CPU, "cpu_count": float("nan")}, "cpu_count: must be above 0"),
        ({**CPU, "cpu_count": 1e7}, "cpu_count: must be above 0 and at most 1000000"),
        ({**CPU, "memory_mb": 0}, "memory_mb: must be above 0"),
        ({**CPU, "memory_mb": 2**31}, "memory_mb: must be above 0"),
        ({**CPU, "gpu_count": -1}, "gpu_count: must be from 0 to 1000"),
        ({**CPU, "gpu_count": 1001}, "gpu_count: must be from 0 to 1000"),
        ({**CPU, "price_per_hour": -1}, "price_per_hour: must be 0 or more"),
        ({**CPU, "price_per_hour": float("inf")}, "price_per_hour: must be 0 or more"),
        ({**CPU, "use_cases": []}, "use_cases: name at least one"),
        ({**GPU, "gpu_resource": "gpu"}, "gpu_resource: must be like nvidia.com/gpu"),
        ({**CPU, "gpu_memory_mb": 1}, "gpu_memory_mb: stated, but gpu_count is 0"),
        ({**CPU, "gpu_maker": "amd", "gpu_type_label": "x"}, "gpu_maker, gpu_type_label: stated"),
        ({**GPU, "gpu_memory_mb": None}, "gpu_memory_mb: a bundle with GPUs needs"),
        ({**GPU, "gpu_memory_mb": 0}, "gpu_memory_mb: a bundle with GPUs needs"),
        ({**GPU, "gpu_visible_mb": 0}, "gpu_visible_mb: must be above 0 and at most"),
        ({**GPU, "gpu_visible_mb": 24577}, "gpu_visible_mb: must be above 0 and at most"),
        ({**CPU, "gpu_visible_mb": 1}, "gpu_visible_mb: stated, but gpu_count is 0"),
        ({**GPU, "gpu_maker": None}, "gpu_maker: must be one of nvidia, amd, intel"),
        ({**GPU, "gpu_maker": "voodoo"}, "gpu_maker: must be one of nvidia, amd, intel"),
    ],
)
def test_what_is_wrong_is_named_with_bundle_and_field(item, said):
    with pytest.raises(CatalogueError, match=re.escape(said)):
        parse(item)


def test_ids_differ():
    with pytest.raises(CatalogueError, match=re.escape("bundles[1] (cpu.small): id 'cpu.small'")):
        parse(CPU, CPU)
