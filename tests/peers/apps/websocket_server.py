"""A WebSocket server made with `websockets`: the path says what a connection is for.

/echo     every message comes back as it is
/shapes   every message comes back as the sizes of its fragments, one fragment each
/ping     the client is pinged; "pong" tells that it answered
/close    closed at once with ?code= and ?reason=
/drop     the TCP connection ends without a closing handshake
/silent   reads, says nothing
/ending   tells, as JSON, how the connection ?of=NAME ended, once it has; each may have a ?name=
/head     tells the request's path and header fields as JSON
/refuse   no WebSocket: a 403
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

endings: defaultdict[str, asyncio.Future[ConnectionClosed]] = defaultdict(
    lambda: asyncio.get_running_loop().create_future()
)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def shapes(connection: ServerConnection) -> None:
    while True:
        sizes = [str(len(piece)) async for piece in connection.recv_streaming(decode=False)]
        await connection.send(sizes)


async def ping(connection: ServerConnection) -> None:
    await (await connection.ping(b"are you there"))
    await connection.send("pong")
    await connection.wait_closed()


async def behave(connection: ServerConnection) -> None:
    assert connection.request is not None
    target = urlsplit(connection.request.path)
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    match target.path:
        case "/shapes":
            await shapes(connection)
        case "/ping":
            await ping(connection)
        case "/close":
            await connection.close(int(query["code"]), query["reason"])
        case "/drop":
            connection.transport.abort()
        case "/silent":
            await anext(connection.recv_streaming(), None)
        case "/ending":
            end = await endings[query["of"]]
            close = end.rcvd
            await connection.send(
                json.dumps({"code": close and close.code, "reason": close and close.reason})
            )
        case "/head":
            fields = list(connection.request.headers.raw_items())
            await connection.send(json.dumps([connection.request.path, fields]))
        case _:
            await echo(connection)


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    name = parse_qs(urlsplit(connection.request.path).query).get("name", [""])[0]
    try:
        await behave(connection)
        await connection.recv()
    except ConnectionClosed as ending:
        if name:
            endings[name].set_result(ending)


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/refuse":
        return connection.respond(HTTPStatus.FORBIDDEN, "not for you\n")
    return None


def prefer_newer(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    return max(offered, default=None)


async def main() -> None:
    interval_s = float(os.environ.get("PING_INTERVAL_S", "0")) or None
    async with serve(
        handle,
        "127.0.0.1",
        int(os.environ["PORT"]),
        process_request=refuse,
        select_subprotocol=prefer_newer,
        max_size=None,
        ping_interval=interval_s,
        ping_timeout=interval_s,
        close_timeout=1,
    ) as server:
        await server.serve_forever()


asyncio.run(main())
