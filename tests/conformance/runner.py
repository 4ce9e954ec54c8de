"""Sends the cases: all of them to each proxy, many at a time, in one run."""

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.conformance import ours
from tests.conformance.peers import PEERS, Lane, Peer, PeerError, Running, addresses
from tests.conformance.script import PASS, Case, Grade, Transcript, Verdict, expand, fail
from tests.conformance.wires import Lane as Wires

OURS = "Tidegate"
AT_ONCE = 24
"""Cases under way at the same time: enough to hide waiting, too few to slow anybody down."""
DEADLINE_S = 2.0
"""For one case. What must happen happens in milliseconds; what takes this long is wrong."""
AGAIN_DEADLINE_S = 4.0
"""For the second look at a case that did not pass: alone, so that load is not to blame."""

_READY = Case(id="ready", section="", title="", client=(), check=lambda _: PASS)
"""A lane that only shows whether requests go through."""

Expand = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One cell of the page."""

    case_id: str
    verdict: Verdict
    transcript: Transcript


def missing() -> dict[str, str]:
    """Peers that are not installed, and how to get them."""
    return {peer.name: peer.install for peer in PEERS if peer.find() is None}


def versions() -> dict[str, str]:
    """Versions of the installed peers."""
    return {p.name: p.version(program) for p in PEERS if (program := p.find()) is not None}


async def run(name: str, cases: Iterable[Case], *, deadline_s: float = DEADLINE_S) -> list[Result]:
    """Send cases to one proxy.

    Whatever does not pass is sent once more, with little else going on, and the second outcome
    counts.

    Args:
        name: `OURS`, or a peer's name.
        cases: What to send.
        deadline_s: Most time for a case.

    Raises:
        PeerError: It is not installed or does not start.
    """
    first = await _send(name, list(cases), at_once=AT_ONCE, deadline_s=deadline_s)
    by_id = {case.id: case for case in cases}
    doubtful = [by_id[r.case_id] for r in first if r.verdict.grade is not Grade.PASS]
    if not doubtful:
        return first
    again = await _send(name, doubtful, at_once=4, deadline_s=max(deadline_s, AGAIN_DEADLINE_S))
    second = {result.case_id: result for result in again}
    return [second.get(result.case_id, result) for result in first]


async def _send(name: str, cases: list[Case], *, at_once: int, deadline_s: float) -> list[Result]:
    wires = [Wires(case) for case in (*cases, _READY)]
    limit = asyncio.Semaphore(at_once)

    async def one(lane: Wires, address: tuple[str, int], expand: Expand) -> Result:
        async with limit:
            seen = await lane.run(address, expand, deadline_s)
            await lane.close()
        return Result(case_id=lane.case.id, verdict=judge(lane.case, seen), transcript=seen)

    try:
        ports = [await lane.listen() for lane in wires]
        async with _proxy(name, ports) as ways:
            return await asyncio.gather(
                *(one(lane, *way) for lane, way in zip(wires[:-1], ways[:-1], strict=True))
            )
    finally:
        for lane in wires:
            await lane.close()


def judge(case: Case, seen: Transcript) -> Verdict:
    """A case's verdict on a transcript; judges that choke on it say so."""
    try:
        return case.check(seen)
    except (ValueError, IndexError) as exc:
        return fail(f"cannot be judged: {exc}")


def _proxy(name: str, ports: list[int]) -> contextlib.AbstractAsyncContextManager[list[ours.Way]]:
    if name == OURS:
        return ours.gateway(ports)
    return _peer(next(peer for peer in PEERS if peer.name == name), ports)


@contextlib.asynccontextmanager
async def _peer(peer: Peer, ports: list[int]) -> AsyncIterator[list[ours.Way]]:
    program = peer.find()
    if program is None:
        raise PeerError(f"{peer.name} is missing: {peer.install}")
    listen = addresses(len(ports), network=random.randint(2, 254))
    lanes = [Lane(*pair) for pair in zip(listen, ports, strict=True)]
    with tempfile.TemporaryDirectory(prefix="tidegate-conformance-") as directory:
        home = Path(directory)
        running = Running(peer.name, peer.configure(program, home, lanes), home)
        try:
            await running.serving(lanes)
            yield [(address, partial(expand, prefix=b"", lines=b"")) for address in listen]
        finally:
            running.stop()
