"""One probe on the wire, against servers that do everything wrong, on both event loops."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from autoscaler.core.replica_sentences import Answer, Outcome
from autoscaler.reconcilers.processes_probe import ProbeClient, read_status
from controlplane.model.artifacts import Probe
from tests.fakes.tools import require_tool

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HOST = "127.0.0.1"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    def runs(scenario: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(scenario)

    return runs


def answering(*pieces: bytes, stay: bool = False) -> Serve:
    """A server that sends some bytes after the request, then closes or stays."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if stay:
            await reader.read()
        writer.close()

    return serve


@asynccontextmanager
async def serving(
    serve: Serve, *, host: str = HOST, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server, and its port; its connections are closed before it is."""
    handlers: set[asyncio.Task[Any]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(tracked, host, 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    await asyncio.sleep(0.01)
    if handlers:
        await asyncio.wait(handlers)
    server.close()
    await server.wait_closed()


async def probed(
    serve: Serve,
    *,
    scheme: str = "HTTP",
    timeout_s: float = 20,
    host: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One try against a server."""
    probe = Probe(path="/healthz", scheme=scheme, timeout_s=timeout_s, host=host)
    async with serving(serve, host=host or HOST, tls=tls) as port:
        client = ProbeClient()
        answer = await client.ask(probe, host=HOST, port=port)
        await client.close()
        return answer


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        pytest.param(
            answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
            Answer(outcome=Outcome.SUCCESS, status=204),
            id="success",
        ),
        pytest.param(
            answering(b"HTT", b"P/1.", b"0 200", b"\r", b"\n\r\nbody"),
            Answer(outcome=Outcome.SUCCESS, status=200),
            id="piece-by-piece",
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\n", b"x" * 10, stay=True),
            Answer(outcome=Outcome.SUCCESS, status=200),
            id="server-that-stays",
        ),
        pytest.param(
            answering(b"HTTP/1.1 503 Busy\r\n\r\n"),
            Answer(outcome=Outcome.STATUS, status=503),
            id="not-2xx",
        ),
        pytest.param(answering(), Answer(outcome=Outcome.CLOSED), id="closes-without-a-word"),
        pytest.param(answering(b"HTTP/1."), Answer(outcome=Outcome.CLOSED), id="half-a-line"),
        pytest.param(
            answering(b"\x00\x01 not HTTP"),
            Answer(outcome=Outcome.GARBAGE, detail=r"b'\x00\x01 not HTTP'"),
            id="garbage",
        ),
    ],
)
def test_what_a_server_says(run, serve: Serve, expected: Answer):
    assert run(probed(serve)) == expected


def test_a_silent_server_takes_the_time_limit(run):
    assert run(probed(answering(stay=True), timeout_s=0.1)).outcome is Outcome.SILENT


def test_a_server_without_tls_is_named_when_https_was_asked(run):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    assert run(probed(plain, scheme="HTTPS")).outcome is Outcome.TLS


def test_nobody_listens(run):
    async def scenario() -> tuple[Answer, Answer]:
        with socket.socket() as unused:
            unused.bind((HOST, 0))
            port = unused.getsockname()[1]
        client = ProbeClient()
        asked = await client.ask(Probe(path="/"), host=HOST, port=port)
        accepted = await client.accepts(host=HOST, port=port, limit_s=5)
        await client.close()
        return asked, accepted

    for answer in run(scenario()):
        assert answer.outcome is Outcome.REFUSED
        assert answer.detail


def test_a_listening_port_accepts(run):
    async def scenario() -> Answer:
        async with serving(answering()) as port:
            return await ProbeClient().accepts(host=HOST, port=port, limit_s=5)

    assert run(scenario()).outcome is Outcome.SUCCESS


def test_the_probe_s_own_host_wins(run):
    served = probed(answering(b"HTTP/1.1 200 OK\r\n\r\n"), host="127.0.0.2")
    assert run(served).outcome is Outcome.SUCCESS


def test_a_certificate_is_not_checked(run, tmp_path: Path):
    require_tool("openssl", "apt-get install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=somewhere.example", "-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    served = probed(answering(b"HTTP/1.1 200 OK\r\n\r\n"), scheme="HTTPS", tls=tls)
    assert run(served) == Answer(outcome=Outcome.SUCCESS, status=200)


@pytest.mark.parametrize(
    ("received", "outcome"),
    [
        (b"", None),
        (b"HT", None),
        (b"HTTP/1.1 200 ", None),
        (b"HTTP/1.1 200\r\n", Outcome.SUCCESS),
        (b"HTTP/1.0 299 Odd but fine\n", Outcome.SUCCESS),
        (b"HTTP/1.1 301 Moved\r\n", Outcome.STATUS),
        (b"HTTP/2 200\r\n", Outcome.GARBAGE),
        (b"HTTP/1.1 2000\r\n", Outcome.GARBAGE),
        (b"HTTP/1.1 600 What\r\n", Outcome.GARBAGE),
        (b"SSH-2.0-OpenSSH\r\n", Outcome.GARBAGE),
        (b"HTTP/1.1 " + b"2" * 2000, Outcome.GARBAGE),
    ],
)
def test_the_beginning_of_an_answer(received: bytes, outcome: Outcome | None):
    answer = read_status(received)
    assert (answer.outcome if answer else None) is outcome
