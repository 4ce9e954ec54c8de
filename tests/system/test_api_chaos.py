"""Twenty clients change everything at once, then every process is killed: what was acknowledged is
there, what was not is there in whole or not at all."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter

import pytest

from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.sections import StoreSettings
from controlplane.model.workloads import Proton, Workload
from controlplane.store.client import Store
from tests.system.api_crowd import Crowd
from tests.system.conftest import Up, processes_of, wait_until
from tests.system.service import api_status

CLIENTS = 20


def kill_everything(up: Up) -> None:
    """As when the power goes: the supervisor too, nobody is told."""
    up.process.kill()
    up.process.wait(60)
    for process in processes_of(up.data_dir):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_until(lambda: not processes_of(up.data_dir), what="everything is dead")


def check_acknowledged(up: Up, crowd: Crowd) -> Counter[str]:
    """Every acknowledged write is there, as the clients know it."""
    seen: Counter[str] = Counter()
    for client in crowd.clients:
        for kind, records in (("workloads", client.workloads), ("artifacts", client.artifacts)):
            for one, known in records.items():
                status, found = api_status(up, "GET", f"/{kind}/{one}")
                told = f"{kind} {one}: {known} is {status} {found}"
                if known.deleted:
                    assert status == 404, told
                    seen["deleted"] += 1
                    continue
                if known.maybe_deleted and status == 404:
                    continue
                assert status == 200, told
                assert found["description"] in {known.description, *known.maybe}, told
                seen[kind] += 1
                if kind == "artifacts" and known.locked:
                    assert found["status"] == "locked", told
                    seen["locked"] += 1
                if known.replacements:
                    check_history(up, one, known.replacements, found, seen)
    return seen


def check_history(up, workload_id, replacements, found, seen):
    """A replacement that was accepted is under way, or in the history."""
    _, history = api_status(up, "GET", f"/workloads/{workload_id}/history?limit=100")
    there = {item["id"] for item in history["data"]}
    if found["replacement"] is not None:
        there.add(found["replacement"]["id"])
    assert set(replacements) <= there, (workload_id, replacements, there)
    seen["replacements"] += len(replacements)


async def records(up: Up) -> dict[type, dict[str, object]]:
    """All records of four kinds, from the store itself."""
    async with await Store.connect(StoreSettings(url=up.store_url), client_name="check") as store:
        return {
            cls: {held.record.id: held.record for held in await store.list(cls)}
            for cls in (Workload, Proton, Artifact, Repository)
        }


def check_consistency(found) -> None:
    """No write was done by half: what belongs together is there together."""
    workloads, protons = found[Workload], found[Proton]
    artifacts, repositories = found[Artifact], found[Repository]
    versions: Counter[tuple[str, int]] = Counter()
    for artifact in artifacts.values():
        if artifact.repository_id is not None and artifact.deleted_at is None:
            assert artifact.repository_id in repositories, artifact
        assert (artifact.version is not None) == (artifact.status == "locked"), artifact
        if artifact.version is not None:
            versions[artifact.repository_id, artifact.version] += 1
            assert artifact.version <= repositories[artifact.repository_id].last_version
    assert all(count == 1 for count in versions.values()), versions
    for proton in protons.values():
        assert proton.workload_id in workloads, proton
        assert proton.artifact_id in artifacts, proton
    for workload in workloads.values():
        if workload.deleted_at is not None:
            continue
        artifact = artifacts[workload.artifact_id]
        assert artifact.deleted_at is None, (workload, artifact)
        if workload.active_proton_id is not None:
            active = protons[workload.active_proton_id]
            assert active.workload_id == workload.id
        replacement = workload.replacement
        if replacement is not None and replacement.candidate_proton_id in protons:
            assert protons[replacement.candidate_proton_id].workload_id == workload.id


def chaos(tidegate_up, *, seconds: float) -> None:
    up = tidegate_up()
    token = up.token
    crowd = Crowd()
    thread = threading.Thread(
        target=lambda: asyncio.run(
            crowd.work(up.api_url, token, clients=CLIENTS, seconds=10 * seconds)
        )
    )
    thread.start()
    wait_until(lambda: sum(crowd.statuses.values()) >= 100, what="the clients are at work")
    time.sleep(seconds)
    kill_everything(up)
    thread.join(60)
    assert not thread.is_alive()
    faults = [fault for client in crowd.clients for fault in client.faults]
    assert not faults, faults[:3]

    again = tidegate_up()
    again.ready["token"] = again.ready["token"] or token
    check_consistency(asyncio.run(records(again)))
    seen = check_acknowledged(again, crowd)
    for thing in ("workloads", "artifacts", "deleted", "locked", "replacements"):
        assert seen[thing] > 0, (seen, crowd.statuses)
    print(f"checked {dict(seen)} after {dict(crowd.statuses)}")  # noqa: T201 - shown by -rP


@pytest.mark.timeout(240)
def test_what_was_acknowledged_survives_the_death_of_every_process(tidegate_up):
    chaos(tidegate_up, seconds=5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_of_twenty_clients_survives_the_death_of_every_process(tidegate_up):
    chaos(tidegate_up, seconds=60)
