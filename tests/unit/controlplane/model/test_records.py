"""Records: one kind each, frozen, and the same after JSON."""

import importlib
import pkgutil

import msgspec
import pytest

import controlplane.model
from controlplane.model.artifacts import Artifact, ArtifactSpec, Container, ContainerGroup
from controlplane.model.kinds import Kind, Record
from controlplane.model.people import Token, User
from controlplane.model.reports import LoadReport, ProtonLoad, ProtonNumbers, WorkerNumbers
from controlplane.model.states import AccessRole, Importance
from controlplane.model.workloads import Autoscaling, GroupRuntime, Runtime, ScalingPolicy, Workload


def record_classes() -> list[type[Record]]:
    for module in pkgutil.iter_modules(controlplane.model.__path__, "controlplane.model."):
        importlib.import_module(module.name)
    return Record.__subclasses__()


def test_every_kind_has_exactly_one_record():
    assert sorted(cls.kind for cls in record_classes()) == sorted(Kind)


@pytest.mark.parametrize("cls", record_classes(), ids=lambda cls: cls.__name__)
def test_records_are_frozen(cls):
    assert cls.__struct_config__.frozen


def test_a_nested_record_is_the_same_after_json():
    workload = Workload(
        id="0" * 24,
        name="n",
        importance=Importance.HIGH,
        artifact_id="1" * 24,
        runtime=Runtime(
            container_groups=(
                GroupRuntime(
                    autoscaling=Autoscaling(
                        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=2.5),),
                        max_replicas=3,
                        cooldown_s=60,
                    )
                ),
            )
        ),
        roles={"u": AccessRole.OWNER},
        creator_id="u",
        created_at=1.5,
        updated_at=2.5,
    )
    assert msgspec.json.decode(msgspec.json.encode(workload), type=Workload) == workload


def test_a_load_report_is_the_same_after_json_though_zeros_are_left_out():
    report = LoadReport(
        worker_id="w",
        sent_at=1.0,
        clock_s=2.0,
        revision=3,
        protons={
            "p": ProtonLoad(
                workload_id="w", started=3, response_time={7: 2}, starts_by_minute={10**6: 3}
            ),
            "idle": ProtonLoad(workload_id="w"),
        },
        endpoints={"r": 1},
    )
    body = msgspec.json.encode(report)
    assert b"queued" not in body
    assert msgspec.json.decode(body, type=LoadReport) == report


def test_the_numbers_of_a_report_are_what_decisions_need_and_little_more():
    load = ProtonLoad(
        workload_id="w",
        started=9,
        finished={"2xx": 3, "refused": 2},
        in_flight=3,
        queued=1,
        load_seconds=0.1,
        queued_seconds=0.2,
        response_time=dict.fromkeys(range(40), 7),
        starts_by_minute={10**6 + n: 60 for n in range(60)},
    )
    report = LoadReport(worker_id="w1", sent_at=1.0, clock_s=2.0, revision=3, protons={"p": load})
    numbers = report.numbers()
    assert numbers == WorkerNumbers(
        worker_id="w1",
        clock_s=2.0,
        revision=3,
        protons={"p": ProtonNumbers(9, 3, 1, 0.1, 0.2, refused=2)},
    )
    body = msgspec.json.encode(numbers)
    assert msgspec.json.decode(body, type=WorkerNumbers) == numbers
    assert len(body) < len(msgspec.json.encode(report)) / 10


def test_the_primary_container_is_found_in_any_group():
    primary = Container(name="main", primary=True)
    spec = ArtifactSpec(
        container_groups=(
            ContainerGroup(containers=(Container(name="side"),)),
            ContainerGroup(containers=(Container(name="other"), primary)),
        )
    )
    assert spec.primary() is primary


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(ArtifactSpec(), id="no-groups"),
        pytest.param(ArtifactSpec(container_groups=(ContainerGroup(),)), id="no-containers"),
        pytest.param(
            ArtifactSpec(container_groups=(ContainerGroup(containers=(Container(),)),)),
            id="none-is-primary",
        ),
    ],
)
def test_an_incomplete_draft_has_no_primary_container(spec):
    assert spec.primary() is None


def test_the_first_group_is_the_primary_one_and_there_is_always_one():
    group = GroupRuntime(name="gpu", replica_count=2)
    assert Runtime(container_groups=(group, GroupRuntime())).group() is group
    assert Runtime().group() == GroupRuntime()


def test_the_digest_is_what_a_token_record_keeps():
    assert "digest" in Token.__struct_fields__
    assert not {"token", "secret", "value"} & set(Token.__struct_fields__)


def test_records_of_different_kinds_do_not_mix():
    user = User(id="1", username="u", email="e", created_at=0)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(user), type=Artifact)
