"""TLS at the listener, on both event loops, with real handshakes."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from gateway.net import tls as gateway_tls
from tests.fakes.certificates import Authority
from tests.integration.gateway import records
from tests.integration.gateway.records import TOKEN, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import OK, SWITCHED, answering
from tests.integration.gateway.waiting import until, until_async
from tests.integration.gateway.wire import DEADLINE_S, Wire


class Secure:
    """The rig with a TLS listener, and clients that trust it."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig = rig
        self.authority = Authority()
        self.ca = self.authority.write(directory / "ca.pem")
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        self.issue("first")

    def issue(self, name: str) -> None:
        self.authority.issue(self.cert, self.key, name=name)

    async def start(self, **settings: Any) -> None:
        files = {"tls_cert_file": str(self.cert), "tls_key_file": str(self.key)}
        await self.rig.start(**{"tls_port": 0, **files, **settings})

    def context(self, *, ca: Path | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(ca or self.ca))

    async def client(self, context: ssl.SSLContext | None = None) -> Wire:
        """A connection after its handshake."""
        async with asyncio.timeout(DEADLINE_S):
            streams = await asyncio.open_connection(
                "127.0.0.1", self.rig.gateway.tls_port, ssl=context or self.context()
            )
        return self.rig.own(Wire(*streams))

    async def raw(self) -> Wire:
        """A connection that has not said anything."""
        streams = await asyncio.open_connection("127.0.0.1", self.rig.gateway.tls_port)
        return self.rig.own(Wire(*streams))

    async def name(self) -> str:
        """The common name in the certificate that a new connection gets."""
        client = await self.client()
        subject = client.writer.get_extra_info("peercert")["subject"]
        client.close()
        return str(subject[0][0][1])


@pytest.fixture
def secure(rig: Rig, tmp_path: Path) -> Secure:
    return Secure(rig, tmp_path)


async def test_requests_over_tls_are_answered_and_say_so(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    for _ in range(2):
        client.send(request())
        wire = replica.wires[0] if replica.wires else await replica.accepted()
        heard = await wire.request()
        assert heard.get("x-forwarded-proto") == "https"
        assert heard.get("forwarded") == "for=127.0.0.1;proto=https"
        wire.send(OK)
        assert (await client.answer()).body == b"ok"


async def test_plain_and_tls_listen_side_by_side(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    plain = await secure.rig.client()
    plain.send(request())
    heard = await (await replica.accepted()).request()
    assert heard.get("x-forwarded-proto") == "http"


async def test_without_plain_there_is_only_tls(secure: Secure) -> None:
    await secure.start(plain=False)
    await secure.rig.replica(answering(OK))
    assert secure.rig.gateway.port == 0
    client = await secure.client()
    client.send(request())
    assert (await client.answer()).body == b"ok"


async def test_http_1_1_is_what_is_agreed_on(secure: Secure) -> None:
    await secure.start()
    context = secure.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = await secure.client(context)
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(secure: Secure, version: ssl.TLSVersion) -> None:
    await secure.start()
    await secure.rig.replica(answering(OK))
    context = secure.context()
    context.minimum_version = context.maximum_version = version
    client = await secure.client(context)
    client.send(request())
    assert (await client.answer()).body == b"ok"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_older_versions_are_refused(secure: Secure) -> None:
    await secure.start()
    context = secure.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    # The event loops cut the connection; they do not send the alert that would say why.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await secure.client(context)


async def test_large_bodies_pass_whole_both_ways(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    body = bytes(range(256)) * 16_384
    client.send(request("POST", body=body))
    wire = await replica.accepted()
    assert (await wire.request()).body == body
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert (await client.answer()).body == body


async def test_a_reader_that_is_slow_holds_the_replica_up_not_the_memory(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    transport: Any = client.writer.transport
    transport.pause_reading()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    size = 64 * 1024 * 1024
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    piece = bytes(1024 * 1024)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < size:
            wire.send(piece)
            sent += len(piece)
            async with asyncio.timeout(0.5):
                await wire.writer.drain()
    assert sent < size
    transport.resume_reading()
    while sent < size:
        wire.send(piece)
        sent += len(piece)
    head = await client.head()
    assert head.status == 200
    left = size
    while left:
        left -= len(await client.reader.read(1024 * 1024))


# ---- endings


async def test_a_client_that_closes_its_side_ends_the_exchange(
    secure: Secure, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loops know no half-closed TLS: what is asked for is not answered any more."""
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    client.close()
    assert await wire.ended() in {"eof", "reset"}
    await secure.rig.counted(started=1, finished={"aborted": 1})
    assert "eof_received" not in caplog.text, "the loops warn of protocols that want more"


async def test_a_client_that_vanishes_without_a_goodbye_ends_the_exchange(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    client.reset()
    assert await wire.ended() in {"eof", "reset"}
    await secure.rig.counted(started=1, finished={"aborted": 1})


async def test_a_response_that_was_cut_does_not_look_whole(secure: Secure) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await client.head()
    assert await client.chunk() == b"hello"
    wire.reset()
    assert b"0\r\n\r\n" not in await client.rest()


@pytest.mark.parametrize("who", ["client", "replica"])
async def test_a_tunnel_ends_on_both_sides_with_either(secure: Secure, who: str) -> None:
    await secure.start()
    replica = await secure.rig.replica()
    client = await secure.client()
    client.send(request("GET", "/", "Connection: Upgrade", "Upgrade: my-protocol"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(SWITCHED)
    await client.head()
    client.send(b"ping")
    assert await wire.exactly(4) == b"ping"
    wire.send(b"pong")
    assert await client.exactly(4) == b"pong"
    if who == "client":
        client.close()
        assert await wire.ended() in {"eof", "reset"}
    else:
        wire.half_close()
        assert await client.ended() in {"eof", "reset"}
        assert await wire.ended() in {"eof", "reset"}
    await secure.rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_websockets_pass_with_large_messages_and_close_codes(secure: Secure) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)
            if message == "bye":
                await connection.close(4001, "as you wish")

    await secure.start()
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await secure.rig.commit(records.replica("65f00000000000000000ef00", port))
        address = f"wss://127.0.0.1:{secure.rig.gateway.tls_port}"
        async with connect(
            f"{address}/api/v2/endpoints/workloads/{WORKLOAD_ID}/ws",
            additional_headers={"Authorization": f"Bearer {TOKEN}"},
            ssl=secure.context(),
            max_size=None,
            proxy=None,
        ) as client:
            for message in ("hello", bytes(3_000_000), "bye"):
                await client.send(message)
                assert await client.recv() == message
            await client.wait_closed()
            assert client.close_code == 4001


# ---- certificates


async def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_tls, "_LOOK_S", 0.02)
    await secure.start()
    await secure.rig.replica(answering(OK))
    old = await secure.client()
    assert await secure.name() == "first"
    secure.issue("second")

    async def renewed() -> bool:
        return await secure.name() == "second"

    await until_async(renewed)
    old.send(request())
    assert (await old.answer()).body == b"ok"


async def test_a_signal_has_the_certificate_read_at_once(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_tls, "_LOOK_S", 3600.0)
    await secure.start()
    assert await secure.name() == "first"
    secure.issue("second")
    os.kill(os.getpid(), signal.SIGHUP)

    async def renewed() -> bool:
        return await secure.name() == "second"

    await until_async(renewed)


async def test_a_bad_certificate_leaves_the_old_one_in_use_and_says_so(
    secure: Secure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway_tls, "_LOOK_S", 0.02)
    # It is an error, and the rig wants none.
    monkeypatch.setattr(gateway_tls.log, "propagate", False)
    gateway_tls.log.addHandler(caplog.handler)
    caplog.set_level("INFO", logger=gateway_tls.log.name)
    try:
        await secure.start()
        before = secure.cert.read_bytes()
        secure.cert.write_text("not a certificate")
        await until(lambda: "the old one stays in use" in caplog.text)
        assert await secure.name() == "first"
        secure.cert.write_bytes(before)
        await until(lambda: "certificate reloaded" in caplog.text)
        secure.authority.issue(secure.cert, secure.key.with_name("other.pem"))
        await until(lambda: caplog.text.count("the old one stays in use") == 2)
        assert await secure.name() == "first", "the key does not belong to it"
    finally:
        gateway_tls.log.removeHandler(caplog.handler)


async def test_a_certificate_that_cannot_be_used_is_told_at_the_start(secure: Secure) -> None:
    secure.key.unlink()
    with pytest.raises(OSError, match=r"gateway.tls_cert_file .*cert.pem and .*No such file"):
        await secure.start()


async def test_clients_need_a_certificate_where_their_authority_is_set(
    secure: Secure, tmp_path: Path
) -> None:
    clients = Authority("clients")
    ca = clients.write(tmp_path / "clients.pem")
    await secure.start(tls_client_ca_file=str(ca))
    await secure.rig.replica(answering(OK))
    known = secure.context()
    cert, key = tmp_path / "me.pem", tmp_path / "my-key.pem"
    clients.issue(cert, key)
    known.load_cert_chain(cert, key)
    client = await secure.client(known)
    client.send(request())
    assert (await client.answer()).body == b"ok"
    # In TLS 1.3 the client takes the handshake for done before it hears of its refusal.
    stranger = await secure.client()
    stranger.send(request())
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await stranger.exactly(1)
    await secure.rig.counted(started=1, finished={"2xx": 1})


# ---- handshakes


async def test_a_handshake_that_does_not_end_is_cut(secure: Secure) -> None:
    await secure.start(tls_handshake_timeout_s=0.2)
    silent = await secure.raw()
    assert await silent.ended() in {"eof", "reset"}


async def test_who_does_not_speak_tls_is_cut_and_counted(secure: Secure) -> None:
    await secure.start()
    for number in range(1, 4):
        client = await secure.raw()
        client.send(request())
        await client.rest()

        async def counted(number: int = number) -> bool:
            metrics = await secure.rig.gateway.metrics()
            return metrics["gateway_tls_handshakes_failed_total"] == number

        await until_async(counted)
    assert (await secure.rig.load()).started == 0


async def test_a_flood_of_handshakes_does_not_keep_others_out(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_tls, "HANDSHAKES", 20)
    await secure.start(tls_handshake_timeout_s=60.0)
    await secure.rig.replica(answering(OK))
    flood = [await secure.raw() for _ in range(100)]
    client = await secure.client()
    client.send(request())
    assert (await client.answer()).body == b"ok"
    for wire in flood[:80]:
        assert await wire.ended() in {"eof", "reset"}, "the oldest go first"
    assert await flood[-1].silent()


async def test_a_drain_waits_for_handshakes_and_serves_what_comes_of_them(secure: Secure) -> None:
    await secure.start(drain_timeout_s=30.0)
    await secure.rig.replica(answering(OK))
    slow = await secure.raw()
    gateway = secure.rig.gateway
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = secure.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    slow.send(outgoing.read())
    incoming.write(await slow.reader.read(65_536))

    gateway.request_stop()  # type: ignore[attr-defined]

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.tls_port)
        except OSError:
            return True
        writer.transport.abort()
        return False

    await until_async(refused)
    await asyncio.sleep(0.3)  # longer than idle workers stay
    half.do_handshake()
    half.write(request())
    slow.send(outgoing.read())
    answer = b""
    while b"ok" not in answer:
        piece = await slow.reader.read(65_536)
        assert piece, answer
        incoming.write(piece)
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := half.read(65_536):
                answer += data
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in answer


async def test_connections_that_come_by_the_hundred_are_all_served(secure: Secure) -> None:
    await secure.start()
    await secure.rig.replica(answering(OK))
    context = secure.context()

    async def one() -> bytes:
        client = await secure.client(context)
        client.send(request())
        answer = await client.answer()
        client.close()
        return answer.body

    for _ in range(4):
        assert await asyncio.gather(*(one() for _ in range(50))) == [b"ok"] * 50


@uvloop_only
async def test_handshakes_that_have_not_begun_when_the_worker_is_told_to_end_are_made(
    secure: Secure,
) -> None:
    """Also those of connections that only the kernel has accepted."""
    files: dict[str, Any] = {
        "tls_cert_file": secure.cert,
        "tls_key_file": secure.key,
        "tls_port": 0,
    }
    gateway = await secure.rig.start_child(**files)
    await secure.rig.replica(answering(OK))
    context = secure.context()
    gateway.process.send_signal(signal.SIGSTOP)
    socks = [socket.create_connection(("127.0.0.1", gateway.tls_port)) for _ in range(150)]

    def ask(sock: socket.socket) -> bytes:
        with sock:
            sock.settimeout(DEADLINE_S)
            with context.wrap_socket(sock, server_hostname="localhost") as wrapped:
                wrapped.sendall(request())
                return wrapped.recv(4096)

    gateway.process.terminate()
    gateway.process.send_signal(signal.SIGCONT)
    with ThreadPoolExecutor(len(socks)) as pool:
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(*(loop.run_in_executor(pool, ask, s) for s in socks))
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    assert await gateway.exit_code() == 0
