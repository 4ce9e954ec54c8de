"""The open-loop client against a real socket that misbehaves on request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from controlplane.demo.client import OpenLoopClient, Outcome

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request with the same bytes, and counts connections."""

    def __init__(self, answer: bytes, *, close: bool = False, hold: bool = False) -> None:
        self.answer = answer
        self.close = close
        self.hold = hold
        self.requests: list[bytes] = []
        self.connections = 0
        self.released = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.startswith(b"Content-Length")
                )
                self.requests.append(head + await reader.readexactly(length))
                if self.hold:
                    await self.released.wait()
                writer.write(self.answer)
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ended(self) -> None:
        """All its connections are gone."""
        await asyncio.gather(*self.tasks)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[OpenLoopClient]:
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with (
        listener,
        OpenLoopClient("127.0.0.1", port, prefix="/base/", headers={"X-A": "1"}) as client,
    ):
        yield client
    await server.ended()


async def send(client: OpenLoopClient, *, body: bytes = b"", late_s: float = 0.0) -> Outcome:
    return await client.request(
        method="POST" if body else "GET",
        path="/x",
        body=body,
        phase="steady",
        at_s=asyncio.get_running_loop().time() - late_s,
    )


async def test_requests_one_after_the_other_share_a_connection():
    server = Server(ANSWER)
    async with serving(server) as client:
        outcomes = [await send(client, body=b"{}") for _ in range(3)]
    assert [o.status for o in outcomes] == [200] * 3
    assert not any(o.failed for o in outcomes)
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /base/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-A: 1\r\n" in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\n{}")


async def test_a_request_never_waits_for_another():
    server = Server(ANSWER, hold=True)
    async with serving(server) as client:
        tasks = [asyncio.create_task(send(client)) for _ in range(5)]
        while len(server.requests) < 5:  # noqa: ASYNC110 - the server tells no event
            await asyncio.sleep(0.001)
        server.released.set()
        assert [o.status for o in await asyncio.gather(*tasks)] == [200] * 5
    assert server.connections == 5


async def test_time_counts_from_the_intended_moment():
    async with serving(Server(ANSWER)) as client:
        assert (await send(client, late_s=3.0)).seconds >= 3.0


async def test_a_connection_that_the_server_closes_is_not_used_again():
    server = Server(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", close=True
    )
    async with serving(server) as client:
        assert [(await send(client)).status for _ in range(2)] == [200, 200]
    assert server.connections == 2


async def test_a_streamed_answer_counts_when_it_is_whole():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(Server(head + b"2\r\nok\r\n0\r\n\r\n")) as client:
        assert (await send(client)).status == 200


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        pytest.param(
            b"HTTP/1.1 503 No\r\nX-Tidegate-Error: queue_full\r\nContent-Length: 0\r\n\r\n",
            503, "queue_full", id="refused-by-the-gateway",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None, "closed before",
                     id="cut-short"),
        pytest.param(b"", None, "closed before", id="no-answer"),
        pytest.param(b"garbage\r\n\r\n", None, "not HTTP", id="garbage"),
    ],
)  # fmt: skip
async def test_what_is_no_whole_success_is_a_failure_with_its_cause(answer, status, error):
    async with serving(Server(answer, close=True)) as client:
        outcome = await send(client)
    assert outcome.failed
    assert outcome.status == status
    assert error in outcome.error


async def test_a_server_that_is_away_is_a_failure():
    client = OpenLoopClient("127.0.0.1", 9, prefix="", headers={})
    async with client:
        outcome = await send(client)
    assert outcome.failed
    assert outcome.error
