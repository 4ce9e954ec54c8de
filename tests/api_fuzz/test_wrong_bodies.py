"""Wrong bodies, made for every operation that reads one: refused by name, and nothing is kept."""

import random
from collections import Counter

import pytest

from controlplane import sealing
from controlplane.api import description
from controlplane.api.services import KINDS
from controlplane.model.people import Token, User
from controlplane.model.sections import ApiSettings, Settings
from controlplane.store.changes import Follower
from tests.api_fuzz.bodies import Bodies
from tests.integration.api.conftest import GATEWAY, make_api
from tests.integration.api.described import described

__all__ = ["make_api"]

QUICK, SLOW = 60, 500
DOCUMENT = described().document
OPERATIONS = {
    f"{verb.upper()} {path}": operation
    for path, verb, operation in description.operations(DOCUMENT)
    if "application/json" in operation.get("requestBody", {}).get("content", {})
    and "/otel/v1/" not in path  # OTLP's own messages and errors; the receiver has its tests
}
NAMES = sorted(OPERATIONS)


@pytest.fixture
async def api(make_api, tmp_path):
    """One that can keep credentials."""
    (tmp_path / "key").write_text(sealing.new_key())
    keyed = ApiSettings(gateway_url=GATEWAY, credentials_key_file=str(tmp_path / "key"))
    return await make_api(Settings(api=keyed))


async def records(store):
    """Every record with its version."""
    delta = await Follower(store.link, store.keys, KINDS).read()
    return {key: found and found.version for key, found in delta.found.items()}


async def values(api):
    """What stands for the parameters of paths: things that are there."""
    workload = await api.workload()
    draft = await api.artifact()
    return {
        "workload_id": workload["id"],
        "proton_id": workload["protonId"],
        "artifact_id": draft["id"],
        "repository_id": draft["artifactRepositoryId"],
        "user_id": next(iter(api.services.mirror.all(User))),
        "token_id": next(iter(api.services.mirror.all(Token))),
    }


def names_the_field(detail, where):
    """Whether one of the errors is about this place, or about what it stands in."""
    if not all(isinstance(error, dict) for error in detail):
        return False
    locs = [error["loc"] for error in detail]
    assert all(loc[0] == "body" for loc in locs), locs
    return any(covers(loc[1:], where) for loc in locs)


def covers(loc, where):
    """The way in is there; unions put names of their branches between."""
    rest = iter(str(part) for part in loc)
    return all(any(part == str(key) for part in rest) for key in where)


async def refused(api, name, *, count):
    verb, path = name.split(" ")
    chance = random.Random(name)
    there = path.format_map(Values(await values(api)))
    bodies = Bodies(DOCUMENT, OPERATIONS[name], chance)
    before = await records(api.store)
    kinds = Counter()
    for wrong in bodies.wrong(count):
        answer = await api.owner.request(
            verb, there, content=wrong.content, headers={"Content-Type": "application/json"}
        )
        told = f"{name}: {wrong} -> {answer.status_code} {answer.text[:1000]}"
        assert answer.status_code in {400, 413, 422}, told
        detail = answer.json()["detail"]
        if answer.status_code == 422 and wrong.where is not None:
            assert names_the_field(detail, wrong.where), told
        kinds[wrong.kind] += 1
    assert await records(api.store) == before
    return kinds


class Values(dict):
    def __missing__(self, name):
        return "0" * 24


@pytest.mark.parametrize("name", NAMES)
async def test_wrong_bodies_are_refused_by_name_and_change_nothing(api, name):
    kinds = await refused(api, name, count=QUICK)
    assert len(kinds) >= 3, kinds


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
async def test_five_hundred_wrong_bodies_are_refused_by_name_and_change_nothing(api, name):
    kinds = await refused(api, name, count=SLOW)
    assert len(kinds) >= 3, kinds


@pytest.mark.parametrize("name", NAMES)
async def test_generated_bodies_that_the_document_allows_never_break_the_api(api, name):
    verb, path = name.split(" ")
    there = path.format_map(Values(await values(api)))
    bodies = Bodies(DOCUMENT, OPERATIONS[name], random.Random(name))
    for _ in range(10):
        answer = await api.owner.request(verb, there, json=bodies.valid())
        assert answer.status_code < 500, answer.text
