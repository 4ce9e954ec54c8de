"""`websockets` on both sides of the gateway: client and server as people use them."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from tests.peers.applications import Application
from tests.system.conftest import Up, wait_until
from tests.system.service import replica_processes, wait_state

MIB = 1024 * 1024


@asynccontextmanager
async def connected(
    application: Application, path: str, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A client of the application through its invoke URL."""
    headers = options.pop("additional_headers", application.headers)
    async with connect(
        application.ws_url + path,
        additional_headers=headers,
        max_size=None,
        proxy=None,
        ping_interval=None,
        open_timeout=30,
        **options,
    ) as client:
        yield client


async def ending(application: Application, name: str) -> Any:
    """How the server saw the end of the connection of this name; waits for it."""
    async with asyncio.timeout(30), connected(application, f"/ending?of={name}") as client:
        return json.loads(await client.recv())


async def test_messages_come_back_in_order_both_kinds(websocket_server: Application) -> None:
    async with connected(websocket_server, "/echo") as client:
        sent: list[str | bytes] = ["", b"", "grüße", b"\x00\xff", *map(str, range(500))]
        for message in sent:
            await client.send(message)
        assert [await client.recv() for _ in sent] == sent


async def test_fragments_keep_their_shape_both_ways(websocket_server: Application) -> None:
    async with connected(websocket_server, "/shapes", compression=None) as client:
        for sizes in ([0, 1, 125], [126, 65535, 65536, 3], [MIB, 0, MIB]):
            await client.send([b"x" * size for size in sizes])
            # The library ends a fragmented message with an empty frame.
            seen = [piece async for piece in client.recv_streaming()]
            assert seen == [*map(str, sizes), "0", ""]


async def test_control_frames_pass_between_fragments(websocket_server: Application) -> None:
    async with connected(websocket_server, "/echo") as client:

        async def slowly() -> AsyncIterator[str]:
            yield "half"
            await (await client.ping())
            yield "way"

        await client.send(slowly())
        assert await client.recv() == "halfway"


async def test_pings_are_answered_from_end_to_end(websocket_server: Application) -> None:
    async with connected(websocket_server, "/ping") as client:
        assert await client.recv() == "pong"
        for payload in (b"", b"x" * 125):
            assert await (await client.ping(payload)) >= 0


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 3000, 4999])
async def test_a_clients_close_code_reaches_the_server(
    websocket_server: Application, code: int
) -> None:
    async with connected(websocket_server, f"/echo?name=client-{code}") as client:
        await client.close(code, f"reason ü {code}")
    assert await ending(websocket_server, f"client-{code}") == {
        "code": code,
        "reason": f"reason ü {code}",
    }


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 3000, 4001])
async def test_a_servers_close_code_reaches_the_client(
    websocket_server: Application, code: int
) -> None:
    async with connected(websocket_server, f"/close?code={code}&reason=enough") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "enough")
    assert closed.value.rcvd_then_sent


async def test_a_server_that_drops_the_connection_is_seen_at_once(
    websocket_server: Application,
) -> None:
    async with connected(websocket_server, "/drop") as client:
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
    assert closed.value.rcvd is None


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        pytest.param(["chat.v1"], "chat.v1", id="one"),
        pytest.param(["chat.v1", "chat.v2"], "chat.v2", id="the-server-prefers"),
        pytest.param(None, None, id="none"),
    ],
)
async def test_subprotocols_are_agreed_upon_end_to_end(
    websocket_server: Application, offered: list[str] | None, chosen: str | None
) -> None:
    protocols = [Subprotocol(name) for name in offered] if offered else None
    async with connected(websocket_server, "/echo", subprotocols=protocols) as client:
        assert client.subprotocol == chosen


@pytest.mark.parametrize(
    "factory",
    [
        pytest.param(ClientPerMessageDeflateFactory(), id="context-kept"),
        pytest.param(
            ClientPerMessageDeflateFactory(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=9,
                client_max_window_bits=9,
            ),
            id="small-windows-no-context",
        ),
    ],
)
async def test_compressed_messages_survive(
    websocket_server: Application, factory: ClientPerMessageDeflateFactory
) -> None:
    async with connected(
        websocket_server, "/echo", compression=None, extensions=[factory]
    ) as client:
        assert [extension.name for extension in client.protocol.extensions] == [
            "permessage-deflate"
        ]
        for message in ("same words " * 1000, "same words " * 1000, "x" * MIB, ""):
            await client.send(message)
            assert await client.recv() == message


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_message_of_16_mib_comes_back(
    websocket_server: Application, compression: str | None
) -> None:
    message = random.Random(16).randbytes(16 * MIB)
    async with connected(websocket_server, "/echo", compression=compression) as client:
        await client.send(message)
        assert await client.recv() == message
        await client.send([message[: 5 * MIB], message[5 * MIB :]])
        assert await client.recv() == message


async def test_many_connections_at_once_get_their_own_answers(
    websocket_server: Application,
) -> None:
    async def talk(number: int) -> None:
        async with connected(websocket_server, "/echo") as client:
            for turn in range(10):
                await client.send(f"{number}.{turn}")
                assert await client.recv() == f"{number}.{turn}"

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(talk(number))


async def test_a_message_sent_with_the_handshake_is_not_lost(
    websocket_server: Application,
) -> None:
    # A client may not wait for the 101: its first frame comes in the same segment as its head.
    host, port = websocket_server.address
    reader, writer = await asyncio.open_connection(host, port)
    masked_hi = b"\x81\x82\x00\x00\x00\x00hi"
    lines = [
        f"GET {websocket_server.path}/echo HTTP/1.1",
        f"Host: {host}:{port}",
        *(f"{name}: {value}" for name, value in websocket_server.headers.items()),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + masked_hi)
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"101" in head.partition(b"\r\n")[0]
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert await reader.readexactly(4) == b"\x81\x02hi"
    writer.close()
    await writer.wait_closed()


async def test_the_server_sees_its_own_path_and_no_credential(
    websocket_server: Application,
) -> None:
    async with connected(websocket_server, "/head?a=%2F&b=c%20d") as client:
        path, fields = json.loads(await client.recv())
    names = {name.lower() for name, _ in fields}
    assert path == "/head?a=%2F&b=c%20d"
    assert "authorization" not in names
    assert {"x-datarobot-user-id", "x-request-id", "x-forwarded-for", "host"} <= names
    assert websocket_server.up.token not in str(fields)


async def test_a_refusal_of_the_server_is_its_own(websocket_server: Application) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(websocket_server, "/refuse"):
            pass
    response = refused.value.response
    assert (response.status_code, bytes(response.body)) == (403, b"not for you\n")
    assert "X-Tidegate-Error" not in response.headers


async def test_without_a_token_the_gateway_refuses(websocket_server: Application) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(websocket_server, "/echo", additional_headers={}):
            pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["X-Tidegate-Error"] == "unauthenticated"


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "end-of-file"])
async def test_a_client_that_vanishes_is_missed_by_server_and_gateway(
    websocket_server: Application, reset: bool
) -> None:
    name = f"vanished-{reset}"
    async with connected(websocket_server, f"/echo?name={name}") as client:
        await client.send("here")
        assert await client.recv() == "here"
        if reset:
            client.transport.abort()
        else:
            raw: socket.socket = client.transport.get_extra_info("socket")
            raw.shutdown(socket.SHUT_RDWR)
        assert await ending(websocket_server, name) == {"code": None, "reason": None}
    await asyncio.to_thread(websocket_server.settled)


@pytest.fixture(scope="module")
def pinging_server(up: Up) -> Iterator[Application]:
    """The same server, told to ping its clients."""
    with Application.deployed(
        up, "websocket_server.py", environ={"PING_INTERVAL_S": "0.3"}
    ) as application:
        yield application


async def test_a_client_dead_without_a_word_is_found_by_the_servers_pings(
    pinging_server: Application,
) -> None:
    """Half-open: the client's machine is gone, no FIN and no RST ever comes."""
    host, port = pinging_server.address
    sock = socket.create_connection((host, port))
    with sock:
        lines = [
            f"GET {pinging_server.path}/silent HTTP/1.1",
            f"Host: {host}:{port}",
            *(f"{name}: {value}" for name, value in pinging_server.headers.items()),
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        # Open at both ends, but nobody reads or writes here any more. Only the server's pings
        # can tell; what it does then must end the tunnel and free the slot.
        await asyncio.to_thread(
            wait_until, lambda: pinging_server.in_flight == 1, what="the tunnel is open"
        )
        await asyncio.to_thread(pinging_server.settled)


async def test_a_replica_that_is_killed_ends_its_connections_and_the_next_one_serves(
    pinging_server: Application,
) -> None:
    up, workload_id = pinging_server.up, pinging_server.workload_id
    async with connected(pinging_server, "/echo") as client:
        [process] = replica_processes(up, workload_id).values()
        process.kill()
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
    assert closed.value.rcvd is None
    # Held by the gateway until the next replica is ready.
    async with connected(pinging_server, "/echo") as client:
        await client.send("again")
        assert await client.recv() == "again"
    await asyncio.to_thread(wait_state, up, workload_id, "running")
