import pytest

from controlplane.lifecycle.plans import ForbiddenError, StateError, UnfitError
from controlplane.lifecycle.rules import (
    METRICS,
    InferenceError,
    Limits,
    check_metrics,
    check_runtime,
    check_startable,
    effective_runtime,
    only_scaling_differs,
)
from controlplane.model.artifacts import (
    ArtifactSpec,
    Container,
    ContainerGroup,
    EnvVar,
    Resources,
)
from controlplane.model.bundles import Bundle
from controlplane.model.sizing import Offer
from controlplane.model.states import Desired
from controlplane.model.workloads import (
    Autoscaling,
    ContainerResources,
    GroupRuntime,
    Runtime,
    ScalingPolicy,
)
from tests.unit.controlplane.lifecycle import worlds

POLICY = ScalingPolicy(metric="httpRequestsConcurrency", target=10)
SMALL = Resources(cpu=1, memory_bytes=1000)


def runtime(**group: object) -> Runtime:
    return Runtime(container_groups=(GroupRuntime(**group),))


def start(artifact=None, wanted=Runtime(), *, limits=Limits(), others=(), workload_id=None):  # noqa: B008
    check_startable(
        artifact or worlds.artifact(),
        wanted,
        limits=limits,
        others=others,
        workload_id=workload_id,
    )


def test_a_complete_artifact_may_start():
    start()


def test_an_artifact_without_primary_container_may_not_start():
    with pytest.raises(UnfitError, match="no primary container"):
        start(worlds.artifact(spec=ArtifactSpec()))


def test_credentials_that_are_not_there_are_named_with_their_variables():
    container = Container(
        primary=True,
        port=8000,
        image_uri="i:1",
        environment=(
            EnvVar(name="PLAIN", value="x"),
            EnvVar(source="api-key", name="KEY"),
            EnvVar(source="dr-credential", name="SECRET", credential_id="c1", key="apiToken"),
        ),
    )
    spec = ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))
    with pytest.raises(UnfitError, match=r"SECRET \(apiToken of credential c1\)") as caught:
        start(worlds.artifact(spec=spec))
    assert "PLAIN" not in str(caught.value)
    assert "KEY" not in str(caught.value)


def test_a_group_that_the_artifact_lacks_is_refused():
    with pytest.raises(UnfitError, match="no container group 'other'; it has default"):
        start(wanted=runtime(name="other"))


def test_a_container_that_the_artifact_lacks_is_refused():
    wanted = runtime(containers=(ContainerResources(name="other", resources=SMALL),))
    with pytest.raises(UnfitError, match="no container named 'other'; it has main"):
        start(wanted=wanted)
    nameless = ArtifactSpec(
        container_groups=(
            ContainerGroup(containers=(Container(primary=True, port=8000, image_uri="i:1"),)),
        )
    )
    with pytest.raises(UnfitError, match="it has default"):
        start(worlds.artifact(spec=nameless), wanted)
    start(
        worlds.artifact(spec=nameless),
        runtime(containers=(ContainerResources(name="default", resources=SMALL),)),
    )
    empty = ContainerGroup(name="default")
    with pytest.raises(UnfitError, match="it has none"):
        check_runtime(ArtifactSpec(container_groups=(empty,)), wanted)
    start(wanted=runtime(containers=(ContainerResources(name="main", resources=SMALL),)))


@pytest.mark.parametrize(
    ("wanted", "asked", "field"),
    [
        pytest.param(runtime(replica_count=4), 4, "replicaCount", id="fixed"),
        pytest.param(
            runtime(autoscaling=Autoscaling(policies=(POLICY,), max_replicas=9)),
            9,
            "maxReplicaCount",
            id="up",
        ),
        pytest.param(
            runtime(replica_count=5, autoscaling=Autoscaling(enabled=False, max_replicas=9)),
            5,
            "replicaCount",
            id="autoscaling-off",
        ),
    ],
)
def test_more_replicas_than_allowed_are_refused_with_what_to_do(wanted, asked, field):
    start(wanted=wanted, limits=Limits(workload_replicas=asked))
    start(wanted=wanted)
    told = (
        rf"Requested replicas \({asked}\) exceeds the maximum allowed \({asked - 1}\)\."
        f" Lower {field}, or have api.max_workload_replicas raised"
    )
    with pytest.raises(ForbiddenError, match=told):
        start(wanted=wanted, limits=Limits(workload_replicas=asked - 1))


def test_more_running_workloads_than_allowed_are_refused():
    others = [worlds.workload(id=f"{n:024x}", artifact_id="9" * 24) for n in range(3)]
    start(others=others, limits=Limits(concurrent_workloads=4))
    with pytest.raises(ForbiddenError, match=r"Running workloads \(4\)"):
        start(others=others, limits=Limits(concurrent_workloads=3))


def test_stopped_workloads_and_the_one_to_start_do_not_count():
    others = [
        worlds.workload(id="1" * 24, artifact_id="9" * 24),
        worlds.workload(id="2" * 24, artifact_id="9" * 24, desired=Desired.STOPPED),
        worlds.workload(id="3" * 24, artifact_id="9" * 24),
    ]
    start(others=others, limits=Limits(concurrent_workloads=2), workload_id="3" * 24)


def test_a_draft_backs_one_running_workload_only():
    with pytest.raises(StateError, match=f"backs the running workload {'b' * 24}"):
        start(others=[worlds.workload()])
    start(others=[worlds.workload()], workload_id="b" * 24)
    start(others=[worlds.workload(desired=Desired.STOPPED)])
    start(others=[worlds.workload(artifact_id="9" * 24)])


def test_a_locked_artifact_backs_any_number():
    start(worlds.artifact(status="locked", version=1), others=[worlds.workload()])


# -- effective_runtime ------------------------------------------------------------------------


def test_without_a_word_there_is_one_replica():
    group = effective_runtime(Runtime(), worlds.SPEC).group()
    assert (group.name, group.replica_count, group.autoscaling) == ("default", 1, None)


def test_autoscaling_leaves_the_count_open():
    wanted = runtime(autoscaling=Autoscaling(policies=(POLICY,)))
    assert effective_runtime(wanted, worlds.SPEC).group().replica_count is None


def test_autoscaling_switched_off_is_one_replica():
    wanted = runtime(autoscaling=Autoscaling(enabled=False))
    assert effective_runtime(wanted, worlds.SPEC).group().replica_count == 1


def test_the_group_takes_the_artifacts_name():
    spec = ArtifactSpec(
        container_groups=(
            ContainerGroup(name="api", containers=worlds.SPEC.container_groups[0].containers),
        )
    )
    assert effective_runtime(Runtime(), spec).group().name == "api"
    assert effective_runtime(Runtime(), ArtifactSpec()).group().name == "default"


def test_sizes_stated_in_the_artifact_count_where_the_runtime_states_none():
    named = Container(name="main", primary=True, port=8000, resources=SMALL)
    nameless = Container(resources=SMALL)
    sizeless = Container(name="plain")
    spec = ArtifactSpec(container_groups=(ContainerGroup(containers=(named, nameless, sizeless)),))
    stated = effective_runtime(Runtime(), spec).group().containers
    assert [(c.name, c.resources) for c in stated] == [("main", SMALL), ("default", SMALL)]

    own = (ContainerResources(name="main", resources=Resources(cpu=8)),)
    assert effective_runtime(runtime(containers=own), spec).group().containers == own
    bundled = effective_runtime(runtime(resource_bundles=("cpu.small",)), spec).group()
    assert bundled.containers == ()


# -- bundles -----------------------------------------------------------------------------------

TINY = Bundle(id="tiny", name="tiny", cpu_count=1, memory_bytes=2000)
OFFER = Offer(bundles=(TINY,))
SIZES = (ContainerResources(name="main", resources=SMALL),)


def test_a_proton_gets_the_bundles_of_the_catalogue_and_without_one_none():
    group = effective_runtime(runtime(containers=SIZES), worlds.SPEC, OFFER).group()
    assert (group.resource_bundles, group.bundles) == ((), (TINY,))
    named = effective_runtime(runtime(resource_bundles=("tiny",)), worlds.SPEC, OFFER).group()
    assert (named.resource_bundles, named.bundles) == (("tiny",), (TINY,))
    assert effective_runtime(runtime(containers=SIZES), worlds.SPEC).group().bundles == ()


def test_what_the_catalogue_has_no_longer_is_still_shown():
    group = effective_runtime(runtime(resource_bundles=("gone",)), worlds.SPEC, OFFER).group()
    assert (group.resource_bundles, group.bundles) == (("gone",), ())


def test_a_start_needs_bundles_that_there_are():
    limits = Limits(offer=OFFER)
    start(wanted=runtime(resource_bundles=("tiny",)), limits=limits)
    start(wanted=runtime(containers=SIZES), limits=limits)
    with pytest.raises(UnfitError, match="resourceBundles: There is no bundle 'big'") as raised:
        start(wanted=runtime(resource_bundles=("big",)), limits=limits)
    assert not isinstance(raised.value, InferenceError)
    large = (ContainerResources(name="main", resources=Resources(memory_bytes=3000)),)
    with pytest.raises(InferenceError, match=r"ResourceBundleInferenceError \(not_enough_memory\)"):
        start(wanted=runtime(containers=large), limits=limits)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"replica_count": 3}, True),
        ({"bundles": (TINY,)}, True),
        ({"autoscaling": Autoscaling(policies=(POLICY,))}, True),
        ({"concurrency_limit": 7}, True),
        ({"resource_bundles": ("cpu.small",)}, False),
        ({"containers": (ContainerResources(name="main", resources=SMALL),)}, False),
    ],
)
def test_only_scaling_may_differ_in_place(change, expected):
    assert only_scaling_differs(runtime(), runtime(**change)) is expected


def scaled_by(*metrics):
    policies = tuple(ScalingPolicy(metric=metric, target=1) for metric in metrics)
    return runtime(autoscaling=Autoscaling(policies=policies, min_replicas=1))


@pytest.mark.parametrize("metrics", [(), METRICS])
def test_every_artifact_scales_on_what_the_platform_counts(metrics):
    check_metrics(worlds.artifact(), scaled_by(*metrics))
    check_metrics(worlds.artifact(), runtime())


def test_only_nim_artifacts_scale_on_metrics_of_their_own():
    wanted = scaled_by(METRICS[0], "gpuCacheUtilization")
    check_metrics(worlds.artifact(type="nim"), wanted)
    with pytest.raises(UnfitError, match=r"gpuCacheUtilization.*type nim only.*type agent"):
        check_metrics(worlds.artifact(type="agent"), wanted)
