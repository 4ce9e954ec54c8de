"""What is started for a proton."""

import msgspec
import pytest

from autoscaler.core.replica_launch import (
    NothingToRunError,
    fitting_otlp,
    launch_of,
    otlp_variables,
    replica_environment,
    sized,
)
from controlplane.model.artifacts import ArtifactSpec, Container, EnvVar, Resources
from controlplane.model.bundles import Bundle
from controlplane.model.workloads import ContainerResources, Proton, Runtime
from tests.fakes.replicas import container, proton

SMALL = Resources(cpu=0.5, memory_bytes=1000)
BIG = Resources(cpu=4)


def environment(
    proton: Proton,
    inherited: dict[str, str],
    told: dict[str, str] | None = None,
    otlp: dict[str, str] | None = None,
    gpus: tuple[str, ...] | None = None,
) -> dict[str, str]:
    return replica_environment(
        launch_of(proton),
        inherited=inherited,
        port=21_000,
        host="127.0.0.1",
        workload_id="w",
        replica_id="r",
        home="/data",
        told=told,
        otlp=otlp,
        gpus=gpus,
    )


def test_the_primary_container_s_entrypoint_is_started():
    launch = launch_of(proton(container(("serve", "--fast"))))
    assert launch.argv == ("serve", "--fast")
    assert launch.resources == Resources()


@pytest.mark.parametrize("entrypoint", [None, ()])
def test_without_an_entrypoint_the_owner_learns_what_to_add(entrypoint):
    with pytest.raises(NothingToRunError) as raised:
        launch_of(proton(container(entrypoint)))
    assert "imageUri (registry.example/sample:1) is only recorded" in str(raised.value)
    assert '"entrypoint": [' in str(raised.value)


def test_without_an_image_the_sentence_names_none():
    with pytest.raises(NothingToRunError, match="imageUri is only recorded"):
        launch_of(proton(Container(primary=True)))


def test_without_a_primary_container_the_owner_learns_to_mark_one():
    bare = Proton(
        id="p",
        workload_id="w",
        artifact_id="a",
        spec=ArtifactSpec(),
        runtime=proton().runtime,
        creator_id="u",
        created_at=0,
        updated_at=0,
    )
    with pytest.raises(NothingToRunError, match='"primary": true'):
        launch_of(bare)


def test_a_set_bundle_is_what_it_may_use():
    bundle = Bundle(id="b", name="b", cpu_count=2, memory_bytes=1000)
    primary = container(("serve",))
    stated = ContainerResources(name=primary.name, resources=BIG)
    plain = proton(primary, resources=stated)
    assert launch_of(plain).resources == BIG
    group = msgspec.structs.replace(
        plain.runtime.group(), resource_bundles=("b",), bundles=(bundle,)
    )
    sized = msgspec.structs.replace(plain, runtime=Runtime(container_groups=(group,)))
    found = launch_of(sized).resources
    assert (found.cpu, found.memory_bytes) == (2, 1000)


def test_a_replica_inherits_little_and_never_our_settings():
    inherited = {"PATH": "/bin", "HOME": "/h", "TIDEGATE_STORE_URL": "s", "SECRET": "s"}
    plain = proton(Container(primary=True, entrypoint=("x",)))
    assert environment(plain, inherited) == {
        "PATH": "/bin",
        "HOME": "/h",
        "PYTHONUNBUFFERED": "1",
        "PORT": "21000",
        "HOST": "127.0.0.1",
        "WORKLOAD_ID": "w",
        "TIDEGATE_REPLICA_ID": "r",
        "TIDEGATE_REPLICA_HOME": "/data",
    }


def test_the_owner_s_variables_win_over_inherited_ones_but_not_over_ours():
    variables = {"PATH": "/opt", "PYTHONUNBUFFERED": "", "PORT": "1", "HOST": "0.0.0.0"}
    primary = Container(
        primary=True,
        entrypoint=("x",),
        environment=tuple(EnvVar(name=k, value=v) for k, v in variables.items()),
    )
    seen = environment(proton(primary), {"PATH": "/bin"})
    assert seen["PATH"] == "/opt"
    assert seen["PYTHONUNBUFFERED"] == ""
    assert seen["PORT"] == "21000"
    assert seen["HOST"] == "127.0.0.1"


CUDA = "CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("stated", "gpus", "seen"),
    [
        pytest.param(None, None, None, id="nobody-shares-gpus-out"),
        pytest.param("3", None, "3", id="nobody-shares-gpus-out-and-the-owner-states-some"),
        pytest.param(None, ("GPU-1", "GPU-2"), "GPU-1,GPU-2", id="its-own"),
        pytest.param("3", ("GPU-1",), "GPU-1", id="its-own-whatever-the-owner-states"),
        pytest.param(None, (), "", id="none"),
        pytest.param("3", (), "3", id="none-but-the-owner-states-some"),
    ],
)
def test_which_gpus_a_replica_sees(stated, gpus, seen):
    variables = (EnvVar(name=CUDA, value=stated),) if stated else ()
    primary = Container(primary=True, entrypoint=("x",), environment=variables)
    found = environment(proton(primary), {}, gpus=gpus)
    assert found.get(CUDA) == seen
    assert found.get("NVIDIA_VISIBLE_DEVICES") == {None: None, (): "void"}.get(gpus, seen)


def test_what_was_told_in_confidence_is_set_and_what_was_not_is_left_out():
    primary = Container(
        primary=True,
        entrypoint=("x",),
        environment=(
            EnvVar(source="dr-credential", name="KEY", credential_id="c", key="apiToken"),
            EnvVar(source="api-key", name="DATAROBOT_API_TOKEN"),
            EnvVar(name="DATAROBOT_ENDPOINT", value="its own"),
        ),
    )
    told = {"KEY": "secret", "DATAROBOT_ENDPOINT": "ours", "PORT": "1"}
    seen = environment(proton(primary), {}, told)
    assert seen["KEY"] == "secret"
    assert seen["DATAROBOT_ENDPOINT"] == "its own"
    assert seen["PORT"] == "21000"
    assert "DATAROBOT_API_TOKEN" not in seen
    assert "KEY" not in environment(proton(primary), {})


OTLP = otlp_variables(
    "http://api:8081/api/v2/otel", "tgi_key", workload_id="w", proton_id="p", replica_id="r"
)


def test_a_replica_is_told_where_to_send_telemetry_and_as_whom():
    assert OTLP == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://api:8081/api/v2/otel",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "X-DataRobot-Api-Key=tgi_key,"
        "X-DataRobot-Entity-Id=workload-w",
        "OTEL_SERVICE_NAME": "workload-w",
        "OTEL_RESOURCE_ATTRIBUTES": "workload_id=w,proton_id=p,replica_id=r,service.instance.id=r",
    }
    assert OTLP.items() <= environment(proton(), {}, otlp=OTLP).items()
    assert not any(name.startswith("OTEL") for name in environment(proton(), {}))


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_a_collector_of_the_owners_never_gets_our_key(name):
    assert set(fitting_otlp(OTLP, {name})) == {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"}


def test_what_the_artifact_states_wins_over_what_we_tell():
    names = (EnvVar(name="OTEL_SERVICE_NAME", value="mine"), EnvVar(name="TIMEOUT", value="1"))
    told = environment(
        proton(Container(primary=True, entrypoint=("a",), environment=names)), {}, otlp=OTLP
    )
    assert told["OTEL_SERVICE_NAME"] == "mine"
    assert told["OTEL_EXPORTER_OTLP_HEADERS"]


def test_the_same_is_started_at_the_size_of_another_bundle():
    launch = launch_of(proton(resources=ContainerResources(name="main", resources=SMALL)))
    other = Bundle(id="b", name="b", cpu_count=2, memory_bytes=2**30)
    assert sized(launch, other).resources == Resources(cpu=2, memory_bytes=2**30, gpu=0)
    assert sized(launch, other).argv == launch.argv
