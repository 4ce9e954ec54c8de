"""On what a model runs: bundles, GPUs, and the concurrency to aim for."""

from controlplane.catalogue import read_catalogue
from controlplane.model.bundles import Bundle, visible_gpu_bytes
from controlplane.model.model_memory import GIB, Demand, requests_that_fit
from controlplane.model.model_placement import (
    needed_gpu_memory,
    place_on_bundles,
    place_on_gpus,
)
from controlplane.model.model_shape import Precision, shape_from_config
from tests.unit.controlplane.model.published_models import (
    LLAMA2_7B,
    LLAMA3_8B,
    LLAMA3_70B,
    QWEN2_7B,
)

EXAMPLES = read_catalogue(None)
SMALL, LARGE = shape_from_config(LLAMA3_8B), shape_from_config(LLAMA3_70B)


def test_the_smallest_bundle_that_takes_the_load_is_chosen():
    found, rejected = place_on_bundles(SMALL, Demand(context_tokens=8192, concurrency=2), EXAMPLES)
    assert found is not None
    assert (found.bundle, found.gpus, found.concurrency_limit) == ("gpu.l4.small", 1, 2)
    assert found.concurrency_target == 1
    assert rejected == ()


def test_more_load_takes_a_larger_one_and_the_smaller_ones_are_named_with_reasons():
    found, rejected = place_on_bundles(SMALL, Demand(context_tokens=8192, concurrency=16), EXAMPLES)
    assert found is not None
    assert (found.bundle, found.gpu_memory_bytes) == ("gpu.a100.large", 80 * GIB)
    assert found.concurrency_limit == 53
    assert found.concurrency_target == 37
    assert [entry.bundle for entry in rejected] == ["gpu.l4.small", "gpu.a10g.medium", "gpu.medium"]
    assert rejected[0].reason == (
        "33.3 GiB needed, 19.7 GiB usable of each GPU: enough for 2 requests"
    )


def test_what_no_bundle_takes_has_a_reason_for_each():
    found, rejected = place_on_bundles(LARGE, Demand(context_tokens=8192), EXAMPLES[:12])
    assert found is None
    assert rejected[0].reason.endswith("GiB without any request, 19.7 GiB usable of each GPU")


def test_not_even_one_request_is_not_called_enough():
    _, rejected = place_on_bundles(SMALL, Demand(context_tokens=40_000), EXAMPLES)
    assert rejected[0].reason.endswith("of each GPU: not enough for 1 request")


def test_one_request_is_told_in_the_singular():
    wide = shape_from_config(LLAMA2_7B)
    _, rejected = place_on_bundles(wide, Demand(context_tokens=4096, concurrency=3), EXAMPLES)
    assert [entry.reason.rpartition(": ")[2] for entry in rejected[:1]] == ["enough for 2 requests"]
    _, rejected = place_on_bundles(wide, Demand(context_tokens=8192, concurrency=2), EXAMPLES)
    assert [entry.reason.rpartition(": ")[2] for entry in rejected[:1]] == ["enough for 1 request"]


def test_bundles_whose_gpus_cannot_share_the_heads_are_passed_over():
    eight = [bundle for bundle in EXAMPLES if bundle.gpu_count == 8]
    found, rejected = place_on_bundles(shape_from_config(QWEN2_7B), Demand(context_tokens=1), eight)
    assert found is None
    assert rejected[0].reason == "28 heads do not divide by 8 GPUs"


def test_numbers_of_gpus_that_do_not_divide_are_told_in_one_line():
    _, rejected = place_on_gpus(SMALL, Demand(context_tokens=8192), visible_bytes=GIB)
    assert [entry.bundle for entry in rejected][:-1] == [
        *("1 GPU", "2 GPUs", "4 GPUs", "8 GPUs", "16 GPUs"),
    ]
    assert rejected[-1].bundle == "3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15 GPUs"
    _, rejected = place_on_gpus(
        shape_from_config(LLAMA2_7B), Demand(context_tokens=1), visible_bytes=GIB
    )
    assert rejected[-1].reason == "32 heads do not divide evenly"


def test_llama_3_70b_runs_on_two_h100_as_it_does_in_the_world():
    found, _ = place_on_bundles(LARGE, Demand(context_tokens=8192), EXAMPLES)
    assert found is not None
    assert (found.bundle, found.gpus) == ("gpu.h100.2xlarge", 2)


def test_every_example_shows_what_programs_were_told_of_such_gpus():
    told_gib = {"l4": 21.95, "a10g": 21.95, "a100": 79.14, "h100": 79.11}
    for bundle in EXAMPLES:
        if bundle.gpu_count:
            model = str(bundle.gpu_type_label).split("-")[1]
            assert 0.99 * told_gib[model] < visible_gpu_bytes(bundle) / GIB <= told_gib[model]


def test_bundles_for_other_uses_or_of_unknown_memory_are_not_looked_at():
    other = [
        Bundle(
            id="desk",
            name="desk",
            cpu_count=1,
            memory_bytes=1,
            gpu_count=1,
            gpu_memory_bytes=80 * GIB,
            use_cases=("notebook",),
        ),
        Bundle(id="gpu", name="gpu", cpu_count=1, memory_bytes=1, gpu_count=1),
    ]
    assert place_on_bundles(SMALL, Demand(context_tokens=1), other) == (None, ())


def test_as_few_gpus_as_possible_of_a_given_size():
    demand = Demand(context_tokens=8192, concurrency=8)
    found, rejected = place_on_gpus(LARGE, demand, visible_bytes=80 * GIB)
    assert found is not None
    assert (found.bundle, found.gpus) == (None, 4)
    assert [entry.bundle for entry in rejected] == ["1 GPU", "2 GPUs", "3 GPUs"]
    assert rejected[2].reason == "64 heads and 8 KV heads do not divide evenly"
    assert place_on_gpus(LARGE, demand, visible_bytes=8 * GIB)[0] is None


def test_gpus_with_the_needed_memory_are_enough_and_smaller_ones_are_not():
    demand = Demand(context_tokens=8192, concurrency=8, precision=Precision.FP8)
    needed = needed_gpu_memory(LARGE, demand)
    assert [gpus for gpus, _ in needed] == [1, 2, 4, 8, 16]
    for gpus, memory in needed:
        enough, less = (
            requests_that_fit(LARGE, demand, gpus=gpus, visible_bytes=size)
            for size in (memory + 2, memory - GIB)
        )
        assert enough >= 8 > less
