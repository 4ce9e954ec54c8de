"""What a pod asks of Kubernetes for its size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalogue import read_catalogue
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Resources
from controlplane.model.bundles import MIB, Bundle
from controlplane.model.pod_sizing import (
    SHM_PER_GPU_BYTES,
    ContainerSize,
    NodeRule,
    PodSize,
    Toleration,
    pod_size,
)
from controlplane.model.sizing import Misfit, NoBundle, Offer, resolve
from controlplane.model.workloads import ContainerResources, GroupRuntime

GIB = 1024 * MIB
EXAMPLES = {bundle.id: bundle for bundle in read_catalogue(None)}
A10G = EXAMPLES["gpu.medium"]
MIG = Bundle(
    id="mig",
    name="mig",
    cpu_count=2,
    memory_bytes=8 * GIB,
    gpu_count=1,
    gpu_memory_bytes=10 * GIB,
    gpu_maker="nvidia",
    gpu_resource="nvidia.com/mig-1g.10gb",
    node_labels={"pool": "mig"},
)
AMD = Bundle(
    id="amd",
    name="amd",
    cpu_count=8,
    memory_bytes=64 * GIB,
    gpu_count=4,
    gpu_memory_bytes=192 * GIB,
    gpu_maker="amd",
    gpu_type_label="amd-mi300x-4x",
)


def spec(*names: str | None) -> ArtifactSpec:
    """Containers of these names; the first one gets the traffic."""
    containers = tuple(Container(name=name, primary=not n) for n, name in enumerate(names))
    return ArtifactSpec(container_groups=(ContainerGroup(containers=containers),))


def bundled(*bundles: Bundle, containers: dict[str, Resources] | None = None) -> GroupRuntime:
    stated = tuple(ContainerResources(name=n, resources=r) for n, r in (containers or {}).items())
    return GroupRuntime(
        resource_bundles=tuple(b.id for b in bundles), bundles=bundles, containers=stated
    )


def allocated(*bundles: Bundle, **containers: Resources) -> GroupRuntime:
    stated = tuple(ContainerResources(name=n, resources=r) for n, r in containers.items())
    return GroupRuntime(bundles=bundles, containers=stated)


def size(spec_: ArtifactSpec, group: GroupRuntime, **more: object) -> PodSize:
    found = pod_size(spec_, group, **more)
    assert isinstance(found, PodSize)
    return found


def test_a_stated_bundle_is_request_and_limit_of_one_container():
    (main,) = size(spec("main"), bundled(EXAMPLES["cpu.small"])).containers
    assert main.requests() == main.limits() == {"cpu": "1000m", "memory": "536870912"}
    assert (main.name, main.extended, main.mounts_shm) == ("main", {}, False)


@pytest.mark.parametrize(
    ("gpu_type", "resource"),
    [
        ("amd-mi300x", "amd.com/gpu"),
        ("intel-max-1550", "gpu.intel.com/xe"),
        ("a10g", "nvidia.com/gpu"),
        (None, "nvidia.com/gpu"),
    ],
)
def test_without_a_bundle_the_gpu_s_type_says_whose_it_is(gpu_type, resource):
    found = size(spec("main"), allocated(main=Resources(gpu=1, gpu_type=gpu_type)))
    assert found.containers[0].extended == {resource: 1}
    assert found.tolerations == (Toleration(key=resource),)


def test_without_sizes_nothing_is_asked_for():
    assert size(spec("main"), GroupRuntime()) == PodSize(containers=(ContainerSize(name="main"),))
    assert size(ArtifactSpec(), GroupRuntime()).containers == (ContainerSize(name=None),)
    assert ContainerSize(name="main").limits() == {}


def test_without_a_catalogue_an_allocation_is_request_and_limit():
    group = allocated(main=Resources(cpu=0.25, memory_bytes=5, gpu=1), side=Resources(cpu=0))
    main, side = size(spec("main", "side"), group).containers
    assert main.requests() == {"cpu": "250m", "memory": "5", "nvidia.com/gpu": "1"}
    assert main.limits() == main.requests()
    assert side.requests() == {}


def test_an_allocation_is_the_request_and_its_inferred_bundle_the_limit():
    group = allocated(EXAMPLES["cpu.small"], main=Resources(cpu=0.5, memory_bytes=512_000_000))
    (main,) = size(spec("main"), group).containers
    assert main.requests() == {"cpu": "500m", "memory": "512000000"}
    assert main.limits() == {"cpu": "1000m", "memory": "536870912"}


def test_what_an_inferred_bundle_leaves_over_is_for_those_that_state_nothing():
    group = allocated(EXAMPLES["cpu.small"], main=Resources(cpu=0.5))
    main, side = size(spec("main", "side"), group).containers
    assert (main.cpu_request_millicores, main.cpu_limit_millicores) == (500, 500)
    assert (side.cpu_request_millicores, side.cpu_limit_millicores) == (500, 500)
    assert main.memory_limit_bytes == side.memory_limit_bytes == 256 * MIB


def test_a_stated_bundle_is_shared_in_the_proportion_of_the_allocations():
    stated = {"main": Resources(cpu=3), "side": Resources(cpu=1)}
    main, side = size(
        spec("main", "side"), bundled(EXAMPLES["cpu.2xlarge"], containers=stated)
    ).containers
    assert (main.cpu_limit_millicores, side.cpu_limit_millicores) == (3000, 1000)
    assert main.memory_limit_bytes == side.memory_limit_bytes == 4 * GIB


def test_a_nameless_container_is_called_default_in_runtimes():
    (main,) = size(spec(None), allocated(default=Resources(cpu=2))).containers
    assert main.requests() == {"cpu": "2000m"}


def test_gpus_go_to_the_primary_container_on_nodes_that_have_them():
    found = size(spec("main", "side"), bundled(EXAMPLES["gpu.h100.4xlarge"]))
    main, side = found.containers
    assert main.requests()["nvidia.com/gpu"] == main.limits()["nvidia.com/gpu"] == "4"
    assert (main.mounts_shm, side.mounts_shm, side.extended) == (True, False, {})
    assert found.node_rules == (
        NodeRule(key="nvidia.com/gpu.memory", operator="Gt", values=("75365",)),
        NodeRule(key="nvidia.com/gpu.count", operator="Gt", values=("3",)),
    )
    assert found.tolerations == (Toleration(key="nvidia.com/gpu"),)
    assert found.shm_bytes == 4 * SHM_PER_GPU_BYTES


def test_one_gpu_needs_no_count_and_any_memory_needs_no_label():
    keys = [rule.key for rule in size(spec("main"), bundled(A10G)).node_rules]
    assert keys == ["nvidia.com/gpu.memory"]
    assert size(spec("main"), allocated(main=Resources(gpu=1))).node_rules == ()


def test_a_mig_slice_has_its_own_name_and_no_labels_of_whole_gpus():
    found = size(spec("main"), bundled(MIG))
    assert found.containers[0].extended == {"nvidia.com/mig-1g.10gb": 1}
    assert found.node_rules == ()
    assert found.node_selector == {"pool": "mig"}
    assert [t.key for t in found.tolerations] == ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu"]


def test_amd_has_its_own_names():
    found = size(spec("main"), bundled(AMD), gpu_products=["AMD_Instinct_MI300X_OAM", "other"])
    assert found.containers[0].extended == {"amd.com/gpu": 4}
    assert found.node_rules == (
        NodeRule(
            key="amd.com/gpu.product-name", operator="In", values=("AMD_Instinct_MI300X_OAM",)
        ),
    )
    assert found.tolerations == (Toleration(key="amd.com/gpu"),)


def test_products_of_the_wanted_type_are_chosen_among_those_that_nodes_have():
    found = size(spec("main"), bundled(A10G), gpu_products=["Tesla-T4", "NVIDIA-A10G"])
    assert found.node_rules[0] == NodeRule(
        key="nvidia.com/gpu.product", operator="In", values=("NVIDIA-A10G",)
    )


@pytest.mark.parametrize(
    ("products", "there"), [(["Tesla-T4", "NVIDIA-L4"], "NVIDIA-L4, Tesla-T4"), ([], "none")]
)
def test_without_a_node_of_the_wanted_type_the_reason_is_named(products, there):
    found = pod_size(spec("main"), bundled(A10G), gpu_products=products)
    assert isinstance(found, Misfit)
    assert found.reason is NoBundle.GPU_TYPE
    assert f"'nvidia-a10g-1x': their label nvidia.com/gpu.product says {there}." in found.sentence


def test_a_maker_without_labels_is_chosen_by_the_catalogue_alone():
    intel = Bundle(id="i", name="i", cpu_count=1, memory_bytes=GIB, gpu_count=1, gpu_maker="intel")
    found = size(spec("main"), bundled(intel), gpu_products=["x"])
    assert (found.containers[0].extended, found.node_rules) == ({"gpu.intel.com/xe": 1}, ())


def test_shared_memory_leaves_half_of_the_memory():
    tight = Bundle(
        id="t", name="t", cpu_count=1, memory_bytes=2 * GIB, gpu_count=2, gpu_maker="nvidia"
    )
    assert size(spec("main"), bundled(tight)).shm_bytes == GIB
    assert size(spec("main"), allocated(main=Resources(gpu=1))).shm_bytes == SHM_PER_GPU_BYTES


# -- properties --------------------------------------------------------------------------------

NAMES = ("main", "side", "log")
RESOURCES = st.builds(
    Resources,
    cpu=st.none() | st.floats(0, 8, allow_subnormal=False),
    memory_bytes=st.none() | st.integers(0, 8 * GIB),
    gpu=st.none() | st.floats(0, 4, allow_subnormal=False),
)
CATALOGUES = st.sampled_from(
    [(), tuple(EXAMPLES.values()), (AMD, MIG), (EXAMPLES["cpu.nano"], A10G)]
)


@st.composite
def pods(draw: st.DrawFn) -> tuple[GroupRuntime, PodSize]:
    """Sizes of pods of one to three containers, with a bundle stated, inferred, or none."""
    count = draw(st.integers(1, 3))
    stated = tuple(
        ContainerResources(name=name, resources=draw(RESOURCES))
        for name in NAMES[:count]
        if draw(st.booleans())
    )
    catalogue = draw(CATALOGUES)
    wanted = (draw(st.sampled_from(catalogue)).id,) if catalogue and draw(st.booleans()) else ()
    group = resolve(
        GroupRuntime(containers=stated, resource_bundles=wanted), Offer(bundles=catalogue)
    )
    if isinstance(group, Misfit):
        group = GroupRuntime(containers=stated)
    return group, size(spec(*NAMES[:count]), group)


@given(pods())
def test_limits_are_never_below_requests_and_never_zero(drawn):
    _, found = drawn
    for container in found.containers:
        for low, high in (
            (container.cpu_request_millicores, container.cpu_limit_millicores),
            (container.memory_request_bytes, container.memory_limit_bytes),
        ):
            assert (low is None) == (high is None)
            if low is not None:
                assert 0 < low <= high


@given(pods())
def test_containers_together_fill_their_bundle_and_no_more(drawn):
    group, found = drawn
    if group.bundles:
        bundle = group.bundles[0]
        cpu = [c.cpu_limit_millicores for c in found.containers]
        memory = [c.memory_limit_bytes for c in found.containers]
        # Requests of a fraction of a millicore are rounded up, and every container needs one.
        assert bundle.cpu_count * 1000 <= sum(cpu) <= bundle.cpu_count * 1000 + len(cpu)
        assert bundle.memory_bytes <= sum(memory) <= bundle.memory_bytes + len(memory)


@given(pods())
def test_a_stated_bundle_is_guaranteed(drawn):
    group, found = drawn
    if group.resource_bundles and group.bundles:
        for container in found.containers:
            assert container.requests() == container.limits()


@given(pods())
def test_gpus_are_whole_of_one_kind_in_one_container(drawn):
    _, found = drawn
    holders = [c for c in found.containers if c.extended]
    assert len(holders) <= 1
    for holder in holders:
        ((name, count),) = holder.extended.items()
        assert isinstance(count, int)
        assert count >= 1
        assert holder.requests()[name] == holder.limits()[name] == str(count)
        assert holder is found.containers[0]
        assert Toleration(key=name) in found.tolerations


@given(pods())
def test_there_is_shared_memory_exactly_with_gpus_and_within_the_limit(drawn):
    _, found = drawn
    main = found.containers[0]
    assert (found.shm_bytes is not None) == bool(main.extended) == main.mounts_shm
    if found.shm_bytes is not None and main.memory_limit_bytes is not None:
        assert 0 < found.shm_bytes <= max(1, main.memory_limit_bytes // 2)


@given(pods())
def test_without_gpus_nothing_is_said_of_gpu_nodes(drawn):
    _, found = drawn
    if not any(c.extended for c in found.containers):
        assert (found.node_rules, found.tolerations) == ((), ())
