"""Which bundle a replica gets, what it may use, and why there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalogue import read_catalogue
from controlplane.model.artifacts import Container, Resources
from controlplane.model.bundles import MIB, Bundle, ReplicaNeeds, gpu_memory_fits
from controlplane.model.nodes import Node, NodeGpus
from controlplane.model.sizing import (
    Misfit,
    NoBundle,
    Offer,
    available_first,
    cheapest_first,
    container_resources,
    infer_bundle,
    prevailing,
    replica_candidates,
    replica_needs,
    resolve,
    resolved_to,
    stated_bundles,
)
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import ContainerResources, GroupRuntime, Replica, Runtime

EXAMPLES = read_catalogue(None)
OFFER = Offer(bundles=EXAMPLES)
GIB = 1024 * MIB
SMALL = Resources(cpu=0.5, memory_bytes=512_000_000)


def bundle(name: str, *, cpu: float = 1, gib: float = 1, **more: object) -> Bundle:
    fields = {"cpu_count": cpu, "memory_bytes": int(gib * GIB)} | more
    return Bundle(id=name, name=name, **fields)


def offer(*bundles: Bundle, nodes: tuple[Node, ...] = ()) -> Offer:
    return Offer(bundles=bundles, nodes=nodes)


def node(name: str = "n", *, cpu: float = 64, gpus: tuple[NodeGpus, ...] = ()) -> Node:
    return Node(id="0" * 24, name=name, cpu=cpu, memory_bytes=64 * GIB, gpus=gpus)


def gpu_bundle(name: str, *, count: int = 1, gpu_gib: int = 24, **more: object) -> Bundle:
    fields = {"gpu_type_label": "nvidia-l4-1x"} | more
    return bundle(
        name, gpu_count=count, gpu_memory_bytes=gpu_gib * GIB, gpu_maker="nvidia", **fields
    )


def group(*resources: Resources, **more: object) -> GroupRuntime:
    containers = tuple(
        ContainerResources(name=f"c{number}", resources=r) for number, r in enumerate(resources)
    )
    return GroupRuntime(containers=containers, **more)


def sized(found: GroupRuntime | Misfit) -> tuple[tuple[str, ...], list[str]]:
    assert isinstance(found, GroupRuntime)
    return found.resource_bundles, [b.id for b in found.bundles]


def refused(found: object) -> tuple[NoBundle, str]:
    assert isinstance(found, Misfit)
    return found.reason, found.sentence


# -- inference -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        # The three that the public clients' recordings show.
        pytest.param(ReplicaNeeds(cpu=0.5, memory_bytes=512_000_000), "cpu.small", id="recorded-1"),
        pytest.param(
            ReplicaNeeds(cpu=0.25, memory_bytes=256_000_000), "cpu.micro", id="recorded-2"
        ),
        pytest.param(ReplicaNeeds(cpu=1, memory_bytes=2 * GIB), "cpu.xlarge", id="recorded-3"),
        pytest.param(ReplicaNeeds(memory_bytes=1), "cpu.nano", id="memory-alone"),
        pytest.param(ReplicaNeeds(gpus=1), "gpu.l4.small", id="any-gpu"),
        pytest.param(ReplicaNeeds(gpus=1, gpu_type="NVIDIA-A10G"), "gpu.a10g.medium", id="type"),
        pytest.param(
            ReplicaNeeds(gpus=1, gpu_memory_bytes=40 * GIB), "gpu.a100.large", id="memory"
        ),
        pytest.param(ReplicaNeeds(gpus=3), "gpu.h100.4xlarge", id="rounded-up"),
    ],
)
def test_the_smallest_bundle_that_fits_is_inferred(needs, expected):
    found = infer_bundle(needs, OFFER)
    assert isinstance(found, Bundle)
    assert found.id == expected


def test_the_cheapest_wins_where_all_prices_are_known():
    small, large = bundle("small", price_per_hour=2.0), bundle("large", cpu=9, price_per_hour=1.0)
    unpriced = bundle("medium", cpu=2)
    assert infer_bundle(ReplicaNeeds(cpu=1), offer(small, large)) == large
    assert infer_bundle(ReplicaNeeds(cpu=1), offer(small, large, unpriced)) == small
    assert cheapest_first([unpriced, large, small]) == [small, unpriced, large]


def test_without_gpus_none_are_given_while_there_is_a_bundle_without():
    plain, gpu = bundle("plain"), gpu_bundle("gpu", cpu=64)
    assert refused(infer_bundle(ReplicaNeeds(cpu=2), offer(plain, gpu)))[0] is NoBundle.CPU
    assert infer_bundle(ReplicaNeeds(cpu=2), offer(gpu)) == gpu


MOST = "the largest that has all else, {}."


@pytest.mark.parametrize(
    ("needs", "reason", "wanted", "there"),
    [
        (ReplicaNeeds(cpu=99), NoBundle.CPU, "99 cores", MOST.format("cpu.5xlarge, has 32")),
        (
            ReplicaNeeds(memory_bytes=200 * GIB),
            NoBundle.MEMORY,
            "200 GiB of memory",
            MOST.format("cpu.5xlarge, has 128 GiB"),
        ),
        (ReplicaNeeds(gpus=9), NoBundle.GPUS, "9 GPUs", MOST.format("gpu.h100.8xlarge, has 8")),
        (
            ReplicaNeeds(gpus=1, gpu_memory_bytes=100 * GIB),
            NoBundle.GPU_MEMORY,
            "100 GiB of memory in each GPU",
            MOST.format("gpu.a100.large, has 80 GiB"),
        ),
        (
            ReplicaNeeds(gpus=1, gpu_type="b200"),
            NoBundle.GPU_TYPE,
            "GPUs of type 'b200'",
            "the catalogue has nvidia-a100-80gb-1x, nvidia-a10g-1x,",
        ),
        (
            ReplicaNeeds(gpus=2, gpu_type="l4"),
            NoBundle.GPUS,
            "2 GPUs",
            MOST.format("gpu.l4.small, has 1"),
        ),
    ],
)
def test_what_nothing_has_is_named_with_the_most_there_is_and_the_remedy(
    needs, reason, wanted, there
):
    found, sentence = refused(infer_bundle(needs, OFFER))
    assert found is reason
    assert sentence.startswith(f"No bundle has {wanted}: {there}")
    assert "api.bundles_file" in sentence


def test_small_sizes_are_told_in_mib():
    _, sentence = refused(
        infer_bundle(ReplicaNeeds(memory_bytes=900 * MIB), offer(bundle("b", gib=0.5)))
    )
    assert (
        "No bundle has 900 MiB of memory: the largest that has all else, b, has 512 MiB" in sentence
    )


def test_a_catalogue_without_gpus_says_so():
    found = infer_bundle(ReplicaNeeds(gpus=1, gpu_type="l4"), offer(bundle("b")))
    assert "the catalogue has no GPU types" in refused(found)[1]


def test_bundles_for_other_uses_are_not_inferred():
    other = bundle("other", use_cases=("notebook",))
    reason, sentence = refused(infer_bundle(ReplicaNeeds(cpu=1), offer(other)))
    assert reason is NoBundle.NOT_FOR_WORKLOADS
    assert "no bundle for workloads" in sentence


NEEDS = st.builds(
    ReplicaNeeds,
    cpu=st.floats(0, 200),
    memory_bytes=st.integers(0, 2**41),
    gpus=st.integers(0, 10),
    gpu_memory_bytes=st.none() | st.integers(1, 2**37),
    gpu_type=st.none() | st.sampled_from(["l4", "a10g", "h100", "b200"]),
)


@given(NEEDS, st.permutations(EXAMPLES))
def test_what_is_inferred_has_enough_of_everything_in_any_order_of_the_catalogue(needs, shuffled):
    found = infer_bundle(needs, Offer(bundles=tuple(shuffled)))
    assert found == infer_bundle(needs, OFFER) or isinstance(found, Misfit)
    if isinstance(found, Bundle):
        assert found.cpu_count >= needs.cpu
        assert found.memory_bytes >= needs.memory_bytes
        assert found.gpu_count >= needs.gpus
        assert gpu_memory_fits(needs.gpu_memory_bytes, found.gpu_memory_bytes)
        smaller = [b for b in EXAMPLES if b.memory_bytes <= needs.memory_bytes - 1]
        assert found not in smaller


# -- stated bundles --------------------------------------------------------------------------


def test_stated_bundles_keep_their_order():
    found = stated_bundles(("gpu.medium", "cpu.small"), EXAMPLES)
    assert isinstance(found, tuple)
    assert [b.id for b in found] == ["gpu.medium", "cpu.small"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cpu.sml", "'cpu.sml', did you mean 'cpu.small'? Known bundles: cpu.nano,"),
        ("zzz", "'zzz'. Known bundles: cpu.nano,"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name, said):
    reason, sentence = refused(stated_bundles((name,), EXAMPLES))
    assert reason is NoBundle.UNKNOWN
    assert sentence.startswith(f"There is no bundle {said}")


def test_with_an_empty_catalogue_every_name_is_unknown():
    assert "`api.bundles_file`) is empty" in refused(stated_bundles(("cpu.small",), ()))[1]


def test_a_bundle_for_other_uses_is_not_for_workloads():
    catalogue = [bundle("a"), bundle("b", use_cases=("notebook", "job"))]
    reason, sentence = refused(stated_bundles(("b",), catalogue))
    assert reason is NoBundle.NOT_FOR_WORKLOADS
    assert sentence == "Bundle 'b' is for notebook, job only; for workloads there are: a."


def test_candidates_that_a_node_could_carry_come_first_in_the_owners_order():
    one, two, three = bundle("1", cpu=1), bundle("2", cpu=2), bundle("3", cpu=3)
    there = offer(nodes=(node(cpu=2),))
    assert available_first((three, one, two), there) == (one, two, three)
    assert available_first((three, one), offer(nodes=(node(cpu=0.5),))) == (three, one)
    assert available_first((three, one), offer()) == (three, one)


def test_the_resolved_bundle_is_one_that_a_node_could_carry():
    there = Offer(bundles=EXAMPLES, nodes=(node(cpu=4),))
    stated = group(resource_bundles=("gpu.medium", "cpu.5xlarge", "cpu.small"))
    assert sized(resolve(stated, there)) == (
        ("gpu.medium", "cpu.5xlarge", "cpu.small"),
        ["cpu.small", "gpu.medium", "cpu.5xlarge"],
    )


def test_what_is_inferred_is_what_a_node_could_carry():
    a10g = NodeGpus(type="NVIDIA A10G", memory_bytes=23_028 * MIB, count=4)
    there = Offer(bundles=EXAMPLES, nodes=(node(), node(gpus=(a10g,))))
    found = infer_bundle(ReplicaNeeds(gpus=1), there)
    assert isinstance(found, Bundle)
    assert found.id == "gpu.a10g.medium"


# -- resolving a group -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        pytest.param(group(), ((), []), id="nothing-said-nothing-inferred"),
        pytest.param(group(SMALL), ((), ["cpu.small"]), id="inferred"),
        pytest.param(group(SMALL, SMALL), ((), ["cpu.medium"]), id="containers-add-up"),
        pytest.param(
            group(resource_bundles=("cpu.xlarge", "gpu.medium")),
            (("cpu.xlarge", "gpu.medium"), ["cpu.xlarge", "gpu.medium"]),
            id="stated",
        ),
        pytest.param(
            group(SMALL, resource_bundles=("cpu.xlarge",)),
            (("cpu.xlarge",), ["cpu.xlarge"]),
            id="stated-beats-the-allocation",
        ),
        pytest.param(
            group(SMALL, resource_bundles=("cpu.small",)),
            ((), ["cpu.small"]),
            id="an-answer-sent-back-is-inferred-again",
        ),
        pytest.param(
            group(Resources(cpu=999), resource_bundles=("cpu.small",)),
            (("cpu.small",), ["cpu.small"]),
            id="stated-and-nothing-fits-the-allocation",
        ),
    ],
)
def test_a_group_gets_its_bundles(runtime, expected):
    assert sized(resolve(runtime, OFFER)) == expected


def test_a_group_that_cannot_have_a_bundle_says_why():
    assert refused(resolve(group(Resources(cpu=999)), OFFER))[0] is NoBundle.CPU
    assert refused(resolve(group(resource_bundles=("x",)), OFFER))[0] is NoBundle.UNKNOWN


def test_with_an_empty_catalogue_sizes_are_as_stated():
    assert sized(resolve(group(Resources(cpu=999)), Offer())) == ((), [])


# -- what a replica may use, and occupies ------------------------------------------------------

MAIN = Container(name="c0", resources=Resources(cpu=7))


def test_a_stated_bundle_is_the_limit_and_the_allocation_does_not_count():
    found = resolve(group(SMALL, resource_bundles=("gpu.medium",)), OFFER)
    assert isinstance(found, GroupRuntime)
    assert container_resources(found, MAIN) == Resources(
        cpu=8,
        memory_bytes=32 * GIB,
        gpu=1,
        gpu_memory_bytes=24 * GIB,
        gpu_type="nvidia-a10g-1x",
    )
    assert replica_needs(found) == ReplicaNeeds(
        cpu=8, memory_bytes=32 * GIB, gpus=1, gpu_memory_bytes=24 * GIB, gpu_type="nvidia-a10g-1x"
    )


ONE, TWO = gpu_bundle("one"), gpu_bundle("two", gpu_type_label="nvidia-a10g-1x")
CHOOSY = GroupRuntime(resource_bundles=("one", "two"), bundles=(ONE, TWO))


def test_named_bundles_are_the_candidates_and_an_inferred_one_is_not():
    assert [one.bundle for one in replica_candidates(CHOOSY)] == [ONE, TWO]
    assert [one.needs.gpu_type for one in replica_candidates(CHOOSY)] == [
        "nvidia-l4-1x",
        "nvidia-a10g-1x",
    ]
    found = resolve(group(SMALL), OFFER)
    assert isinstance(found, GroupRuntime)
    [only] = replica_candidates(found)
    assert (only.bundle, only.needs) == (None, replica_needs(found))


def running(name: str, bundle_id: str | None, **changes: object) -> Replica:
    fields = {"workload_id": "w", "proton_id": "p", "phase": ReplicaPhase.READY, "created_at": 5.0}
    return Replica(id=name, bundle=bundle_id, **(fields | changes))


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        pytest.param([], None, id="nobody-runs"),
        pytest.param([running("a", None)], None, id="nobody-chose"),
        pytest.param([running("a", "gone")], None, id="no-candidate-any-more"),
        pytest.param([running("a", "two"), running("b", "one")], "b", id="the-earlier-of-equals"),
        pytest.param(
            [running("a", "one"), running("c", "two"), running("b", "two")], "b", id="the-most"
        ),
        pytest.param([running("c", "two", created_at=1.0), running("b", "two")], "c", id="oldest"),
        pytest.param(
            [running("a", "one", phase=ReplicaPhase.DRAINING), running("b", "two")],
            "b",
            id="who-leaves-does-not-count",
        ),
    ],
)
def test_the_candidate_that_most_replicas_have_prevails(replicas, expected):
    found = prevailing(CHOOSY.bundles, replicas)
    assert (None if found is None else found.id) == expected


def test_what_replicas_have_is_shown_as_resolved_and_the_owner_s_order_stays():
    runtime = Runtime(container_groups=(CHOOSY, GroupRuntime(name="side")))
    shown = resolved_to(runtime, "two")
    assert [b.id for b in shown.group().bundles] == ["two", "one"]
    assert shown.group().resource_bundles == ("one", "two")
    assert shown.container_groups[1] == GroupRuntime(name="side")
    assert resolved_to(runtime, None) is runtime
    assert resolved_to(runtime, "gone") is runtime
    inferred = Runtime(container_groups=(GroupRuntime(bundles=(ONE,)),))
    assert resolved_to(inferred, "one") is inferred


def test_under_an_inferred_bundle_a_replica_gets_what_was_stated():
    found = resolve(group(SMALL), OFFER)
    assert isinstance(found, GroupRuntime)
    assert container_resources(found, MAIN) == SMALL
    assert replica_needs(found) == ReplicaNeeds(cpu=0.5, memory_bytes=512_000_000)


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(Container(name="c0"), SMALL, id="by-name"),
        pytest.param(Container(name="other"), Resources(), id="nobody-said"),
        pytest.param(Container(name="other", resources=SMALL), SMALL, id="the-artifact-said"),
    ],
)
def test_without_a_bundle_the_runtime_counts_before_the_artifact(container, expected):
    assert container_resources(group(SMALL), container) == expected


def test_a_nameless_container_is_the_default_one():
    runtime = GroupRuntime(containers=(ContainerResources(name="default", resources=SMALL),))
    assert container_resources(runtime, Container()) == SMALL


def test_bundles_that_were_never_resolved_leave_the_allocation():
    assert container_resources(group(SMALL, resource_bundles=("x",)), MAIN) == SMALL


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param([Resources()], ReplicaNeeds(), id="nothing"),
        pytest.param([Resources(gpu=0.5)], ReplicaNeeds(gpus=1), id="half-a-gpu-is-one"),
        pytest.param(
            [Resources(gpu_memory_bytes=5)],
            ReplicaNeeds(gpus=1, gpu_memory_bytes=5),
            id="memory-of-a-gpu-means-one",
        ),
        pytest.param(
            [Resources(gpu_type="l4"), Resources(gpu=2, gpu_memory_bytes=3)],
            ReplicaNeeds(gpus=2, gpu_memory_bytes=3, gpu_type="l4"),
            id="containers-add-up",
        ),
    ],
)
def test_a_replica_needs_what_its_containers_state(resources, expected):
    assert replica_needs(group(*resources)) == expected
