"""What fills the file beside the API: outputs of replicas, spans of gateways; what empties it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from controlplane.model.artifacts import Artifact, ArtifactSpec
from controlplane.model.sections import TelemetrySettings
from controlplane.model.spans import GatewaySpan, SpanNews
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica, Runtime, Workload
from controlplane.store.client import Put, Store
from controlplane.store.watch import Mirror
from controlplane.telemetry import keeper as keeper_module
from controlplane.telemetry import queries
from controlplane.telemetry.archive import Archive
from controlplane.telemetry.keeper import Keeper
from controlplane.telemetry.queries import LogQuery, Window
from controlplane.telemetry.rates import Rates
from controlplane.telemetry.records import Batch, LogRecord
from tests.fakes.waiting import DEADLINE_S

WORKLOAD = "65f000000000000000000001"
DAY_S = 24 * 3600.0


def workload(workload_id: str = WORKLOAD, **fields: object) -> Workload:
    told = {
        "name": "w",
        "artifact_id": f"a{workload_id[1:]}",
        "runtime": Runtime(),
        "creator_id": "u",
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    return Workload(id=workload_id, **(told | fields))  # type: ignore[arg-type]


def artifact(artifact_id: str, status: str) -> Artifact:
    return Artifact(
        id=artifact_id,
        name="a",
        spec=ArtifactSpec(),
        status=status,
        creator_id="u",
        created_at=1.0,
        updated_at=1.0,
    )


class Stage:
    """One API process's keeper after another, over one store and one data directory."""

    def __init__(self, store: Store, directory: Path, stack: AsyncExitStack) -> None:
        self.store = store
        self.directory = directory
        self._stack = stack

    async def keeper(self) -> tuple[Archive, AsyncExitStack]:
        """A running keeper with an archive of its own; close the stack to end both."""
        stack = await self._stack.enter_async_context(AsyncExitStack())
        mirror = Mirror(self.store, [Workload, Artifact, Replica])
        await mirror.start()
        stack.push_async_callback(mirror.stop)
        archive = Archive(self.directory / "telemetry", max_bytes=64 * 1024 * 1024)
        keeper = Keeper(
            archive,
            self.store,
            mirror,
            rates=Rates(1e9),
            data_dir=self.directory,
            since_s=archive.written_s(),
            settings=TelemetrySettings(),
        )
        archive.start()
        stack.callback(archive.stop)
        await stack.enter_async_context(keeper.running())
        return archive, stack

    def output(self, replica_id: str) -> Path:
        path = self.directory / "replicas" / WORKLOAD / replica_id / "output.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    async def run(self, replica_id: str) -> None:
        """A replica's record comes."""
        replica = Replica(
            id=replica_id,
            workload_id=WORKLOAD,
            proton_id="65f000000000000000000002",
            phase=ReplicaPhase.READY,
            created_at=1.0,
            log_path=str(self.output(replica_id)),
        )
        await self.store.commit([Put(replica), Put(workload())])

    async def end(self, replica_id: str) -> None:
        """It goes."""
        await self.store.delete(Replica, replica_id)


@pytest.fixture
async def stage(store: Store, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(store, tmp_path, stack)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - a file tells no event
            await asyncio.sleep(0.02)


def lines(archive: Archive, workload_id: str = WORKLOAD) -> list[str]:
    query = LogQuery(window=Window(workload_id=workload_id))
    found = archive.read(lambda db: queries.find_logs(db, query, offset=0, limit=1000))
    return [row["message"] for row in (found.rows if found else [])][::-1]


async def test_output_is_read_while_a_replica_runs_and_to_its_end(stage):
    archive, _ = await stage.keeper()
    await stage.run("r1")
    stage.output("r1").write_text("one\n")
    await until(lambda: lines(archive) == ["one"])
    with stage.output("r1").open("a") as file:
        file.write("two\nlast words")
    await stage.end("r1")
    await until(lambda: lines(archive) == ["one", "two", "last words"])
    [position] = archive.positions()
    assert position.offset == len("one\ntwo\nlast words")


async def test_a_replica_that_comes_and_goes_between_two_looks_is_read(stage, monkeypatch):
    monkeypatch.setattr(keeper_module, "SEARCH_S", 0.2)
    archive, _ = await stage.keeper()
    for number in range(3):
        stage.output(f"r{number}").write_text(f"short life {number}\n")
        await stage.run(f"r{number}")
        await stage.end(f"r{number}")
    await until(lambda: len(lines(archive)) == 3)


async def test_a_new_process_goes_on_and_reads_what_ended_meanwhile(stage):
    archive, first = await stage.keeper()
    await stage.run("r1")
    stage.output("r1").write_text("one\n")
    stage.output("r0").write_text("never known\n")
    await until(lambda: "one" in lines(archive))
    await first.aclose()
    with stage.output("r1").open("a") as file:
        file.write("two\n")
    await stage.end("r1")
    stage.output("r2").write_text("came and went\n")
    archive, _ = await stage.keeper()
    await until(lambda: {"two", "came and went"} <= set(lines(archive)))
    assert sorted(lines(archive)) == sorted(set(lines(archive))), "nothing twice"


async def test_of_two_processes_one_reads_and_the_other_takes_over(stage, monkeypatch):
    monkeypatch.setattr(keeper_module, "_TRY_AGAIN_S", 0.05)
    archive, first = await stage.keeper()
    await stage.run("r1")
    stage.output("r1").write_text("one\n")
    await until(lambda: lines(archive) == ["one"])
    other, _ = await stage.keeper()
    with stage.output("r1").open("a") as file:
        file.write("two\n")
    await until(lambda: lines(other) == ["one", "two"])
    await first.aclose()
    with stage.output("r1").open("a") as file:
        file.write("three\n")
    await until(lambda: lines(other) == ["one", "two", "three"])


async def test_spans_of_gateways_are_kept_by_workload(stage):
    archive, _ = await stage.keeper()
    spans = [
        GatewaySpan(
            workload_id=workload_id,
            trace_id="1" * 32,
            span_id="2" * 16,
            name="GET",
            start_ns=time.time_ns(),
            duration_ns=5,
            error=True,
        )
        for workload_id in (WORKLOAD, "other")
    ]

    def kept() -> list[str]:
        found = archive.read(lambda db: db.execute("SELECT workload, status FROM spans").fetchall())
        return sorted(f"{row['workload']} {row['status']}" for row in found or [])

    async with asyncio.timeout(DEADLINE_S):
        while kept() != [f"{WORKLOAD} error", "other error"]:
            await stage.store.tell_spans(SpanNews(worker_id="g", spans=spans))
            await asyncio.sleep(0.05)


async def test_age_counts_by_the_artifacts_status_and_the_deleted_have_none(stage):
    draft, locked, deleted, unknown = (f"65f00000000000000000010{n}" for n in range(4))
    await stage.store.commit(
        [
            Put(workload(draft)),
            Put(artifact(f"a{draft[1:]}", "draft")),
            Put(workload(locked)),
            Put(artifact(f"a{locked[1:]}", "locked")),
            Put(msgspec.structs.replace(workload(deleted), deleted_at=2.0)),
        ]
    )
    now_ns = time.time_ns()
    archive = Archive(stage.directory / "telemetry", max_bytes=64 * 1024 * 1024)
    archive.start()
    for workload_id in (draft, locked, deleted, unknown):
        ages_d = (0.5, 2, 20, 40)
        logs = [
            LogRecord(time_ns=now_ns - int(age * DAY_S * 1e9), severity=9, message=str(age))
            for age in ages_d
        ]
        archive.submit(Batch(workload_id=workload_id, size=1, logs=logs))
    assert archive.flush()
    archive.stop()
    archive, _ = await stage.keeper()
    await until(lambda: lines(archive, draft) == ["0.5"])
    await until(lambda: lines(archive, locked) == ["20", "2", "0.5"])
    await until(lambda: archive.workloads() == [draft, locked])
