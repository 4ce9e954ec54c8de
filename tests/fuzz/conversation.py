"""A client and a replica that follow the rules, whatever the pieces their words arrive in."""

from typing import NamedTuple

from tests.fuzz import oracle, verdicts
from tests.fuzz.oracle import Headers, Message
from tests.fuzz.pipes import Pipe
from tests.fuzz.stage import Attempt, Stage

_MADE_UP = frozenset({b"x-request-id", b"traceparent"})
"""Different for every request, where the client gives none."""


class Told(NamedTuple):
    """What both sides understood, without how it was cut."""

    requests: list[tuple[bytes, bytes, Headers, bytes, Headers]]
    """Whole ones, as replicas saw them: method, path, headers, body, trailers."""
    partial: bool
    """Whether a replica was left with a request that never became whole."""
    responses: list[tuple[int, list[int], Headers, bytes, Headers, bool]]
    """Status, interim ones before it, headers, body, trailers, and whether it is whole."""
    end: str
    """Of the client's connection: `open`, `closed`, `cut`."""
    tunnelled: tuple[bytes, bytes]
    """What came out of a tunnel: for the replica, for the client."""


def cuts(data: bytes) -> list[list[bytes]]:
    """Data whole, byte by byte, and in two pieces for every position."""
    halves = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], [data[at : at + 1] for at in range(len(data))], *halves]


async def converse(
    stage: Stage, asked: list[bytes], said: list[bytes], *, ended: bool = False
) -> Told:
    """One client asks; a replica answers every whole request with the same words.

    Args:
        stage: Other conversations may have gone before; they are forgotten.
        asked: The client's words, in pieces.
        said: The replica's words for each request, in pieces.
        ended: Whether the replica ends its connection after them.
    """
    stage.forget()
    finished = sum(stage.routes.protons[p].meter.started for p in stage.routes.protons)
    client = stage.connect()
    answered: set[int] = set()
    for part in asked:
        client.send(part)
        await stage.turns()
        await _answer(stage, answered, said, ended=ended)
    verdicts.check_now(stage)
    verdicts.check_said(stage)
    told = _told(stage, client)
    client.reset()
    await stage.turns()
    verdicts.check_now(stage)
    started = sum(stage.routes.protons[p].meter.started for p in stage.routes.protons)
    assert started - finished == len([b for b in stage.begun.get(client, []) if b.exchange])
    assert stage.worker.exchanges == 0
    return told


async def _answer(stage: Stage, answered: set[int], said: list[bytes], *, ended: bool) -> None:
    while True:
        ready = next((a for a in stage.attempts if id(a) not in answered and _whole(a)), None)
        if ready is None:
            return
        answered.add(id(ready))
        for part in said:
            ready.pipe.send(part)
            await stage.turns(1)
        if ended:
            ready.pipe.end()
        await stage.turns()


def _whole(attempt: Attempt) -> bool:
    if attempt.pipe.lost or attempt.pipe.protocol.exchange is not attempt.exchange:
        return False
    seen = oracle.read_request(attempt.request)
    return seen is not None and seen.whole


def _told(stage: Stage, client: Pipe) -> Told:
    requests: list[Message] = []
    partial = False
    for attempt in stage.attempts:
        seen = oracle.read_request(attempt.request)
        assert seen is not None
        partial = partial or not seen.whole
        requests += [seen] if seen.whole else []
    asked = [(b.head.method, b.head.upgrade is not None) for b in stage.begun.get(client, [])]
    responses, _ = oracle.read_responses(client.heard, asked=asked, ended=client.told_end)
    return Told(
        [(r.method, r.target, _same(r.headers), r.body, r.trailers) for r in requests],
        partial,
        [(r.status, r.interim, *_words(r), r.trailers, r.whole) for r in responses],
        "cut" if client.aborted else "closed" if client.told_end else "open",
        (
            requests[-1].rest if requests else b"",
            responses[-1].rest if responses and responses[-1].status == 101 else b"",
        ),
    )


def _same(headers: Headers) -> Headers:
    return [pair for pair in headers if pair[0] not in _MADE_UP]


def _words(response: Message) -> tuple[Headers, bytes]:
    """Headers and body; not the sentence and the request id in the gateway's own answers."""
    headers = _same(response.headers)
    if response.all(b"x-tidegate-error"):
        return [pair for pair in headers if pair[0] != b"content-length"], b""
    return headers, response.body
