"""Tokens that replicas carry end with the last proton that asks for one."""

import pytest

from controlplane.conductor.term import Term
from controlplane.conductor.tokens import WorkloadTokens
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, EnvVar
from controlplane.model.people import Scope, Token
from controlplane.model.states import Desired
from controlplane.model.workloads import Proton, Runtime, Workload
from controlplane.store.client import Put
from tests.integration.api.conftest import IDS, api, make_api  # noqa: F401 - fixtures

WORKLOAD = "b" * 24


def spec(*environment):
    container = Container(name="main", primary=True, port=8000, environment=environment)
    return ArtifactSpec(container_groups=(ContainerGroup(containers=(container,)),))


ASKS = spec(EnvVar(source="api-key", name="DATAROBOT_API_TOKEN"))


def token(**changes):
    fields = {
        "id": WORKLOAD,
        "name": "w",
        "digest": "0" * 64,
        "prefix": "tg_",
        "user_id": "1" * 24,
        "created_at": 1.0,
        "scope": Scope.WORKLOAD,
        "made_for": WORKLOAD,
        "sealed": "1.x.y",
    }
    return Token(**(fields | changes))


def workload(**changes):
    fields = {
        "id": WORKLOAD,
        "name": "w",
        "artifact_id": "a" * 24,
        "runtime": Runtime(),
        "creator_id": "1" * 24,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Workload(**(fields | changes))


def proton(proton_id="c" * 24, **changes):
    fields = {
        "id": proton_id,
        "workload_id": WORKLOAD,
        "artifact_id": "a" * 24,
        "spec": ASKS,
        "runtime": Runtime(),
        "creator_id": "1" * 24,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Proton(**(fields | changes))


@pytest.mark.parametrize(
    ("records", "stays"),
    [
        pytest.param([workload(), proton()], True, id="it-runs"),
        pytest.param(
            [workload(), proton(desired=Desired.STOPPED), proton("d" * 24)],
            True,
            id="a-candidate-runs",
        ),
        pytest.param([workload(), proton(desired=Desired.STOPPED)], False, id="stopped"),
        pytest.param([workload(), proton(spec=spec())], False, id="nobody-asks-any-more"),
        pytest.param([workload()], False, id="no-proton"),
        pytest.param([workload(deleted_at=2.0), proton()], False, id="deleted"),
        pytest.param([proton()], False, id="purged"),
    ],
)
async def test_a_token_lives_as_long_as_a_running_proton_asks_for_it(api, records, stays):  # noqa: F811
    persons = token(id=IDS.new(), made_for=None, sealed=None, digest="1" * 64)
    await api.write(token(), persons, *records)
    lease = await api.store.acquire("conductor", "test", ttl_s=60)
    await WorkloadTokens(Term(api.services, lease)).step(now_s=10.0)
    await api.settle()
    found = api.services.mirror.all(Token)
    assert (WORKLOAD in found) is stays
    assert persons.id in found


async def test_a_token_that_was_just_made_anew_is_looked_at_again(api):  # noqa: F811
    await api.write(token())
    lease = await api.store.acquire("conductor", "test", ttl_s=60)
    step = WorkloadTokens(Term(api.services, lease))
    await step.step(now_s=10.0)
    await api.store.commit([Put(token(digest="2" * 64), expected=0)])
    await api.settle()
    await step.step(now_s=11.0)
    await api.settle()
    assert WORKLOAD not in api.services.mirror.all(Token)


async def test_the_tokens_of_all_owners_end_together(api):  # noqa: F811
    others = token(id="e" * 24, user_id="2" * 24, digest="2" * 64)
    await api.write(token(), others, workload(), proton(desired=Desired.STOPPED))
    lease = await api.store.acquire("conductor", "test", ttl_s=60)
    await WorkloadTokens(Term(api.services, lease)).step(now_s=10.0)
    await api.settle()
    assert not {WORKLOAD, "e" * 24} & set(api.services.mirror.all(Token))
