import itertools

import msgspec
import pytest

from controlplane.audit import HIDDEN, MAX_CHANGES, By, entries, lines
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, EnvVar, Probe
from controlplane.model.kinds import Record
from controlplane.model.people import Credential, Token
from controlplane.model.states import AccessRole
from controlplane.model.workloads import GroupRuntime, Runtime, Workload
from controlplane.store.client import Delete, Put
from tests.unit.controlplane.lifecycle import worlds

ANN = By(name="ann", user_id="1" * 24, operation="PATCH /api/v2/workloads/{workload_id}")
SECRETS = ("hunter2", "a-digest", "sealed-values", "Basic abc")


def told(*writes, before: tuple[Record, ...] = ()):
    held = {(type(record), record.id): record for record in before}
    numbers = itertools.count(1)
    return lines(
        writes,
        lambda cls, record_id: held.get((cls, record_id)),
        by=ANN,
        now_s=7.0,
        new_id=lambda: str(next(numbers)),
    )


def changed(line):
    return {change.field: (change.before, change.after) for change in line.changes}


def with_environment(value: str, header: str = "Basic abc"):
    container = Container(
        name="main",
        primary=True,
        port=8000,
        environment=(EnvVar(name="PASSWORD", value=value),),
        readiness_probe=Probe(path="/", http_headers={"Authorization": header}),
    )
    spec = ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))
    return worlds.artifact(spec=spec)


def test_a_line_says_who_what_when_and_the_fields_before_and_after():
    before = worlds.workload(description="old")
    after = msgspec.structs.replace(before, description="new", updated_at=9.0)
    (line,) = told(Put(after), before=(before,))
    assert (line.by, line.at, line.kind, line.record_id) == (ANN, 7.0, "workload", before.id)
    assert (line.action, line.record_name) == ("updated", "a workload")
    assert changed(line) == {"description": ("old", "new")}


def test_only_the_leaves_that_differ_are_told():
    runtime = Runtime(container_groups=(GroupRuntime(replica_count=1, concurrency_limit=3),))
    more = Runtime(container_groups=(GroupRuntime(replica_count=2, concurrency_limit=3),))
    before = worlds.workload(runtime=runtime, roles={"x": AccessRole.OWNER, "y": AccessRole.USER})
    after = worlds.workload(runtime=more, roles={"x": AccessRole.OWNER, "z": AccessRole.USER})
    (line,) = told(Put(after), before=(before,))
    assert changed(line) == {
        "runtime.containerGroups.0.replicaCount": (1, 2),
        "roles.y": ("USER", None),
        "roles.z": (None, "USER"),
    }


@pytest.mark.parametrize("moved", [None, 9.0], ids=["the-same", "only-the-clock"])
def test_a_record_that_is_written_back_unchanged_has_no_line(moved):
    before = worlds.artifact()
    after = msgspec.structs.replace(before, updated_at=moved or before.updated_at)
    assert told(Put(after), before=(before,)) == []
    assert told(Delete(Workload, "f" * 24)) == []


def test_what_is_created_is_told_whole():
    (line,) = told(Put(worlds.workload(), 0))
    assert line.action == "created"
    assert changed(line)["name"] == (None, "a workload")
    assert changed(line)["roles"] == (None, {worlds.OWNER: "OWNER"})


@pytest.mark.parametrize("soft", [True, False])
def test_soft_and_hard_deletes_are_both_deletes(soft):
    before = worlds.workload()
    gone = msgspec.structs.replace(before, deleted_at=8.0)
    (line,) = told(Put(gone) if soft else Delete(Workload, before.id), before=(before,))
    assert line.action == "deleted"
    assert changed(line)["deletedAt" if soft else "name"] == (
        (None, 8.0) if soft else ("a workload", None)
    )


def test_no_secret_is_ever_in_a_line():
    token = Token(
        id="2" * 24, name="t", digest="a-digest", prefix="tg_x", user_id="1" * 24, created_at=1.0
    )
    credential = Credential(
        id="3" * 24,
        name="c",
        type="basic",
        sealed="sealed-values",
        keys=("password",),
        user_id="1" * 24,
        created_at=1.0,
        updated_at=1.0,
    )
    artifact = with_environment("hunter2")
    for record in (token, credential, artifact):
        for found in (told(Put(record)), told(Delete(type(record), record.id), before=(record,))):
            ((_, text, _),) = entries(found, keep=5)
            assert HIDDEN.encode() in text
            assert not any(secret.encode() in text for secret in SECRETS)


def test_a_secret_that_changes_is_told_as_changed_and_nothing_more():
    before, after = with_environment("hunter2"), with_environment("hunter3", "Basic def")
    (line,) = told(Put(after), before=(before,))
    container = "spec.containerGroups.0.containers.0"
    assert changed(line) == {
        f"{container}.environment.0.value": (HIDDEN, HIDDEN),
        f"{container}.readinessProbe.httpHeaders": (HIDDEN, HIDDEN),
    }


def test_a_line_is_bounded_whatever_changes():
    before = worlds.workload(roles={})
    roles = {f"{n:024x}": AccessRole.USER for n in range(MAX_CHANGES + 7)}
    after = msgspec.structs.replace(before, description="x" * 100_000, roles=roles)
    (line,) = told(Put(after), before=(before,))
    assert len(line.changes) == MAX_CHANGES + 1
    assert line.changes[-1].field == "and 8 more"
    assert changed(line)["description"] == ("", "(100002 bytes)")


def test_every_record_of_a_commit_has_its_own_line():
    found = told(Put(worlds.workload()), Put(worlds.proton()), Put(worlds.artifact()))
    assert [line.kind for line in found] == ["workload", "proton", "artifact"]
    assert len({line.id for line in found}) == 3
