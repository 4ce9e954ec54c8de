"""The Autobahn cases, by `kosoku`: each ends the same with and without the gateway between."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.peers.applications import APPS, Application
from tests.peers.token_relay import relay
from tests.system.conftest import Up

FRAMES_TO_LIMITS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
"""Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits, auto-fragments."""

COMPRESSION = ["12.*", "13.*"]
"""permessage-deflate: 216 cases of 1,000 messages each."""

SMALL_COMPRESSION = [f"{group}.{case}" for group in ("12.1", "13.3", "13.7") for case in (1, 3)]
"""Three kinds of windows, two sizes of messages."""

KNOWN_TO_FAIL = {"7.1.5"}
"""`websockets` answers a close between fragments with 1002, where the case wants the code back."""

Outcomes = dict[str, dict[str, Any]]
"""What each case came to: apps/autobahn.py."""


@pytest.fixture(scope="module")
def echo(up: Up) -> Iterator[Application]:
    """`websockets` as the server under test; the case of 131,072 fragments is above its default."""
    environ = {"WEBSOCKETS_MAX_FRAGMENTS": "1000000"}
    with Application.deployed(up, "websocket_server.py", environ=environ) as application:
        yield application


async def cases(url: str, selected: Sequence[str]) -> Outcomes:
    """What each of the selected cases came to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, APPS / "autobahn.py", url, *selected, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    found: Outcomes = json.loads(output)
    return found


async def compare(echo: Application, selected: Sequence[str], *, count: int) -> None:
    [port] = echo.direct_ports
    authorization = f"Authorization: {echo.headers['Authorization']}"
    async with relay(*echo.address, authorization) as front:

        async def both(these: Sequence[str]) -> tuple[Outcomes, Outcomes]:
            direct = await cases(f"ws://127.0.0.1:{port}/echo", these)
            return direct, await cases(f"ws://127.0.0.1:{front}{echo.path}/echo", these)

        direct, through = await both(selected)
        assert len(direct) == count
        for outcomes in (direct, through):
            assert {name for name, case in outcomes.items() if not case["passed"]} <= KNOWN_TO_FAIL

        # Where two events race, one server gives two outcomes: those cases have two more tries.
        for _ in range(2):
            if differing := [name for name in direct if direct[name] != through[name]]:
                direct, through = await both(differing)
        assert through == direct
    # Whatever a case did to its connection: nothing of it is left in the gateway.
    await asyncio.to_thread(echo.settled)


async def test_every_case_but_compression_ends_as_it_does_without_the_gateway(
    echo: Application,
) -> None:
    await compare(echo, FRAMES_TO_LIMITS, count=301)


async def test_cases_of_compression_end_as_they_do_without_the_gateway(echo: Application) -> None:
    await compare(echo, SMALL_COMPRESSION, count=len(SMALL_COMPRESSION))


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_all_cases_of_compression_end_as_they_do_without_the_gateway(
    echo: Application,
) -> None:
    await compare(echo, COMPRESSION, count=216)
