"""Messages of every form, whole, byte by byte and cut at every position: the same each time."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.core import framing
from tests.fuzz import messages
from tests.fuzz.conversation import Told, converse, cuts
from tests.fuzz.stage import Stage, run_on_stage
from tests.integration.gateway.rig import request
from tests.integration.gateway.scripted import OK
from tests.unit.gateway.core.tables import table

CHUNKED = request("POST", "/c", "Transfer-Encoding: chunked")
NEXT = request("GET", "/smuggled")


def each(cases: dict[str, Any]) -> list[Any]:
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), id=n) for n, c in cases.items()]


def outcomes(
    data: bytes, said: bytes, *, ended: bool = False, cut_answer: bytes | None = None
) -> list[tuple[list[bytes], Told]]:
    """What comes of every way to cut a client's words, or its replica's (`cut_answer` asks)."""

    async def play() -> list[tuple[list[bytes], Told]]:
        stage = Stage()
        found = []
        for parts in cuts(said if cut_answer is not None else data):
            if cut_answer is not None:
                told = await converse(stage, [cut_answer], parts, ended=ended)
                stage.renew()
            else:
                told = await converse(stage, parts, [said], ended=ended)
            found.append((parts, told))
        await stage.close()
        return found

    return run_on_stage(play())


def all_alike(found: list[tuple[list[bytes], Told]], key: Callable[[Told], Any]) -> Told:
    """The first outcome, when all others are like it."""
    whole = found[0][1]
    for parts, told in found:
        assert key(told) == key(whole), (
            f"other than whole when cut into {[len(part) for part in parts]}"
        )
    return whole


@pytest.mark.parametrize("data", each(messages.REQUESTS))
def test_valid_requests_mean_the_same_however_they_are_cut(data: bytes) -> None:
    said = OK.removesuffix(b"ok") if b"HEAD " in data else OK
    told = all_alike(outcomes(data, said), lambda told: told)
    assert told.requests
    assert not told.partial
    assert {status for status, *_ in told.responses} == {200}


@pytest.mark.parametrize("data", each(messages.REFUSED_HEADS))
def test_refused_heads_are_refused_however_they_are_cut(data: bytes) -> None:
    told = all_alike(outcomes(data + NEXT, OK), lambda told: told)
    assert told.requests == []
    assert not told.partial
    ((status, _, headers, _, _, whole),) = told.responses
    assert status in {400, 405, 431, 501, 505}
    assert (b"connection", b"close") in headers
    assert whole
    assert told.end == "closed"


@pytest.mark.parametrize("data", each(messages.REFUSED_CHUNKS))
def test_refused_chunks_are_refused_however_they_are_cut(data: bytes) -> None:
    # of a flood, what counts is where it begins and where it ends
    flood = [[data], [data[:2], data[2:]], [data[:-1], data[-1:]]]
    found = outcomes_of_bodies(cuts(data) if len(data) < 3000 else flood)
    told = all_alike(found, lambda told: (told.requests, told.responses, told.end))
    assert told.requests == [], "no replica takes it for whole"
    assert [status for status, *_ in told.responses] == [400]
    assert told.end == "closed"


def outcomes_of_bodies(bodies: list[list[bytes]]) -> list[tuple[list[bytes], Told]]:
    """Each body with its head and the next request, and after and before them."""

    async def play() -> list[tuple[list[bytes], Told]]:
        stage = Stage()
        found = []
        for parts in bodies:
            joined = [CHUNKED + parts[0], *parts[1:]]
            joined[-1] += NEXT
            found.append((parts, await converse(stage, joined, [OK])))
            found.append((parts, await converse(stage, [CHUNKED, *parts, NEXT], [OK])))
        await stage.close()
        return found

    return run_on_stage(play())


@pytest.mark.parametrize(("asked", "said", "ended"), each(messages.RESPONSES))
def test_valid_responses_mean_the_same_however_they_are_cut(
    asked: bytes, said: bytes, ended: bool
) -> None:
    told = all_alike(outcomes(b"", said, ended=ended, cut_answer=asked), lambda told: told)
    ((*_, whole),) = told.responses
    assert whole
    assert len(told.requests) == 1


@pytest.mark.parametrize("said", each(messages.REFUSED_RESPONSES))
def test_refused_responses_are_502_however_they_are_cut(said: bytes) -> None:
    told = all_alike(outcomes(b"", said, cut_answer=request()), lambda told: told)
    ((status, interim, headers, *_),) = told.responses
    assert (status, interim) == (502, [])
    assert (b"x-tidegate-error", b"replica_malformed") in headers
    assert told.end == "open", "the client's connection is not to blame"


@pytest.mark.parametrize("data", each(messages.REFUSED_CHUNKS))
def test_refused_chunks_of_a_replica_cut_the_answer_wherever_they_are_cut(data: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = head + data
    places = range(len(head), len(said)) if len(data) < 3000 else (len(head), len(said) - 1)

    async def play() -> list[Told]:
        parts = [[said], [head, *(data[at : at + 1] for at in range(min(len(data), 300)))]]
        parts[1].append(data[300:])
        parts += [[said[:at], said[at:]] for at in places]
        found = []
        stage = Stage()
        for part in parts:
            found.append(await converse(stage, [request()], part))
            stage.renew()
        await stage.close()
        return found

    for told in run_on_stage(play()):
        assert told.end == "cut"
        assert not any(whole for *_, whole in told.responses)


def test_every_form_of_the_tables_is_here() -> None:
    rules = [row[0].replace(" ", "-") for row in table(framing, first="refused")]
    rules.remove("more-header-lines-than-the-limit")
    assert all(any(name.startswith(rule) for name in messages.REFUSED_HEADS) for rule in rules)
    assert "too-many-lines" in messages.REFUSED_HEADS
