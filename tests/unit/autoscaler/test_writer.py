"""What is noted is written under the lease, in batches, and again after a failure."""

import asyncio

import msgspec

from autoscaler.core.basis import Basis
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.leadership import Leadership
from autoscaler.scales import Finding, ScaleBook
from autoscaler.writer import WRITE_BATCH, ScaleWriter
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.decisions import Decision, Reason
from controlplane.model.workloads import Proton, Runtime
from controlplane.store.errors import StoreFullError, StoreUnavailableError
from tests.fakes.lease_store import LeaseStore
from tests.fakes.virtual_time import run_virtual

PROTON = Proton(
    id="p",
    workload_id="w",
    artifact_id="a",
    spec=ArtifactSpec(),
    runtime=Runtime(),
    creator_id="u",
    created_at=0.0,
    updated_at=0.0,
)
DECISION = Decision(
    id="", at=0.0, workload_id="w", proton_id="p", replicas=1, previous_replicas=0,
    reason=Reason.FIXED,
)  # fmt: skip
BASIS = Basis(
    observation=Observation(at=0.0),
    scaling=Scaling(workload_id="w", proton_id="p", fixed=1),
    now_s=0.0,
)


class JournalStore(LeaseStore):
    """Also drops journals, unless it is told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []
        self.refuses = False

    async def drop_journal(self, name: str) -> None:
        if self.refuses:
            raise StoreUnavailableError("away")
        self.dropped.append(name)


async def writing(store: JournalStore) -> tuple[ScaleBook, ScaleWriter, Leadership]:
    clock = asyncio.get_running_loop().time
    leadership = Leadership(store, holder="a", ttl_s=1e9, clock=clock)  # type: ignore[arg-type]
    await leadership.campaign()
    book = ScaleBook(decision_history=9, new_id=lambda: "id")
    return book, ScaleWriter(store, leadership, book), leadership  # type: ignore[arg-type]


def note(book: ScaleBook, proton_id: str) -> None:
    proton = msgspec.structs.replace(PROTON, id=proton_id)
    state = DecisionState(wanted=1)
    found = Finding(proton=proton, decision=DECISION, replicas=(), basis=BASIS, state=state)
    book.note(found, now_s=0.0)


def test_many_protons_are_written_in_batches():
    async def scenario() -> None:
        store = JournalStore()
        book, writer, _ = await writing(store)
        for number in range(WRITE_BATCH + 1):
            note(book, f"p{number}")
        await writer.write_all()
        assert [len(writes) for writes in store.commits[1:]] == [WRITE_BATCH, 1]
        assert len(store.journal["decisions:p0"]) == 1

    run_virtual(scenario())


def test_a_failed_batch_is_written_later():
    async def scenario() -> None:
        store = JournalStore()
        book, writer, _ = await writing(store)
        running = asyncio.create_task(writer.run())
        store.away = True
        note(book, "p")
        writer.notify()
        await asyncio.sleep(30)
        assert len(store.commits) == 1
        store.away = False
        store.full = StoreFullError("disk")
        await asyncio.sleep(5)
        assert len(store.commits) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(scenario())


def test_a_lost_lease_ends_the_writer_and_keeps_the_book():
    async def scenario() -> None:
        store = JournalStore()
        book, writer, leadership = await writing(store)
        await leadership.resign()
        note(book, "p")
        writer.notify()
        await asyncio.wait_for(writer.run(), 1)
        assert len(book.take(10)) == 1

    run_virtual(scenario())


def test_the_decisions_of_a_gone_proton_go_with_it():
    async def scenario() -> None:
        store = JournalStore()
        book, writer, _ = await writing(store)
        book.remove("p")
        await writer.write_all()
        assert store.dropped == ["decisions:p", "shadow-policy:p", "shadow-forecast:p"]
        store.refuses = True
        book.remove("q")
        await writer.write_all()

    run_virtual(scenario())
