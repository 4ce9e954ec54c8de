"""Asks a process whether it is ready, in the cheapest way that HTTP/1.1 allows."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from controlplane.cli.children import Child

_TIMEOUT_S = 2.0


async def is_ready(child: Child) -> bool:
    """Whether a child runs and, where it has a readiness URL, answers 200 there."""
    if child.pid is None or not child.started:
        return False
    return child.ready_url is None or await answers_200(child.ready_url)


async def answers_200(url: str) -> bool:
    """Whether a GET of an `http://` URL is answered with status 200 within two seconds."""
    parts = urlsplit(url)
    request = (
        f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                writer.write(request.encode("ascii"))
                line = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return line.split(b" ")[1:2] == [b"200"]
