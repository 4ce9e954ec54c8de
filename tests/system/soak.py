"""Everything that clients do in an hour, in seconds; and what a worker holds on to afterwards."""

import asyncio
import os
import random
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from controlplane.demo.frames import CLOSE
from tests.system.conftest import Up, wait_until
from tests.system.crowd import Crowd, Line, Mix, Stage

HOUR: Mix = {
    # Whole requests on connections that stay.
    "get": 30,
    "post": 10,
    "head": 3,
    "upload": 3,
    "chunked": 3,
    "stream": 2,
    "missing": 2,
    "failing": 1,
    # On connections of their own.
    "once": 6,
    "websocket": 2,
    "tunnel": 1,
    # Clients that are slow, and those that go away.
    "slow_reader": 0.5,
    "leave_download": 0.5,
    "leave_answer": 1,
    "leave_body": 0.5,
    "leave_head": 1,
    "leave_tunnel": 0.5,
    # Clients that have no business here.
    "stranger": 2,
    "lost": 2,
    "malformed": 1,
}
_BINARY, _MASKED = 0x82, 0x80
_NO_MASK = bytes(4)
"""A mask of zeros leaves the payload as it is (RFC 6455 section 5.3)."""


class SoakCrowd(Crowd):
    """A crowd with more habits."""

    def __init__(self, up: Up, workload_id: str) -> None:
        super().__init__(up, workload_id)
        self.turned_away: Counter[str] = Counter()
        """Requests that reach no workload, by the gateway's error code."""

    def leave(self) -> None:
        """Every client hangs up."""
        for line in self.lines:
            line.hang_up(reset=False)
        self.lines.clear()

    async def connect(self) -> Line:
        if len(self.lines) > 1000:  # those that are gone count for nothing any more
            self.lines = [line for line in self.lines if not line.lost]
        return await super().connect()

    async def _head(self, line: Line | None, rng: random.Random) -> Line:
        # The client's parser would wait for the body that its Content-Length announces.
        return self.settle(await self.begin(line, self.head("HEAD", "/status/204")))

    async def _upload(self, line: Line | None, rng: random.Random) -> Line:
        body = b"x" * rng.choice([1_000, 70_000, 1_000_000])
        data = self.head("POST", "/predict", f"Content-Length: {len(body)}") + body
        return self.settle(await self.begin(line, data, again=False))

    async def _chunked(self, line: Line | None, rng: random.Random) -> Line:
        sizes = [rng.choice([1, 100, 20_000]) for _ in range(rng.randrange(1, 8))]
        body = b"".join(b"%x\r\n%b\r\n" % (size, b"y" * size) for size in sizes)
        head = self.head("POST", "/predict", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        data = head + body + b"0\r\nX-Sum: 1\r\n\r\n"
        return self.settle(await self.begin(line, data, again=False))

    async def _once(self, line: Line | None, _rng: random.Random) -> Line:
        head = self.head("GET", "/predict", "Connection: close")
        alone = self.settle(await self.begin(None, head))
        return line or alone

    async def _websocket(self, line: Line | None, rng: random.Random) -> Line:
        head = self.head(
            "GET",
            "/ws",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        line = await self.begin(line, head, Stage.BEGUN)
        for payload in [b"z" * rng.choice([1, 125])] * rng.randrange(1, 6):
            if line.status != 101 or line.lost:
                return self._leave(line, rng, ending="1xx")
            line.stage = Stage.BEGUN
            line.write(bytes([_BINARY, _MASKED | len(payload)]) + _NO_MASK + payload)
            await line.reach(Stage.WHOLE)
        line.stage = Stage.BEGUN
        line.write(bytes([_MASKED | CLOSE, _MASKED | 2]) + _NO_MASK + (1000).to_bytes(2, "big"))
        await line.reach(Stage.WHOLE)
        return self._leave(line, rng, ending="1xx")

    async def _slow_reader(self, line: Line | None, rng: random.Random) -> Line:
        line = await self.begin(line, self.head("GET", "/bytes/6000000"), Stage.BEGUN)
        for _ in range(3):
            await self._pause(line, rng.random() / 5)
            await asyncio.sleep(0.01)
        await line.reach(Stage.WHOLE)
        return self.settle(line)

    async def _leave_download(self, line: Line | None, rng: random.Random) -> Line:
        # More than all buffers on the way take.
        line = await self.begin(line, self.head("GET", "/bytes/100000000"), Stage.BEGUN)
        await self._pause(line, rng.random() / 5)
        return self._leave(line, rng, ending="aborted")

    async def _pause(self, line: Line, seconds: float) -> None:
        """Read nothing for a while."""
        if line.transport is None or line.lost or line.stage == Stage.WHOLE:
            return
        line.transport.pause_reading()
        await asyncio.sleep(seconds)
        if not line.lost:
            line.transport.resume_reading()

    # -- requests that are no workload's

    async def _stranger(self, line: Line | None, _rng: random.Random) -> Line:
        head = self.head("GET", "/predict").replace(b"Bearer ", b"Bearer no-")
        return await self._turned_away(line, head, "unauthenticated")

    async def _lost(self, line: Line | None, _rng: random.Random) -> Line:
        head = self.head("GET", "/predict").replace(b"/workloads/", b"/workloads/0")
        return await self._turned_away(line, head, "no_route")

    async def _malformed(self, line: Line | None, _rng: random.Random) -> Line:
        head = self.head("POST", "/", "Content-Length: 1", "Transfer-Encoding: chunked")
        return await self._turned_away(line, head, "bad_request")

    async def _turned_away(self, line: Line | None, head: bytes, code: str) -> Line:
        if line is None or not line.usable:
            line = await self.connect()
        line.send(head)
        await line.reach(Stage.WHOLE)
        if line.own_answer:
            self.turned_away[code] += 1
        if not line.usable:
            line.hang_up(reset=False)
        return line


_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_CODE = re.compile(r'code="(\w+)"')


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What a worker has at a moment."""

    sockets: int
    files: int
    tasks: int
    clients: int
    resident_bytes: int
    answers: Mapping[str, int]
    """Answers of its own, by code."""

    @property
    def countable(self) -> tuple[int, int, int, int]:
        return self.sockets, self.files, self.tasks, self.clients


def holdings(up: Up, index: int) -> Holdings:
    """Look at one worker, from outside and at its own page."""
    pid = up.pids[f"gateway-{index}"]
    with urllib.request.urlopen(f"{up.admin_urls[index]}/metrics", timeout=30) as answer:
        found = _SAMPLE.findall(answer.read().decode())
    values = {name: float(value) for name, _, value in found}
    codes = {
        match[1]: int(float(value))
        for name, labels, value in found
        if name == "gateway_answers_total" and (match := _CODE.search(labels))
    }
    names = [_target(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = sum(name.startswith("socket:") for name in names)
    return Holdings(
        sockets=sockets,
        files=sum(bool(name) for name in names) - sockets,
        tasks=int(values["gateway_tasks"]),
        clients=int(values["gateway_client_connections"]),
        resident_bytes=psutil.Process(pid).memory_info().rss,
        answers=codes,
    )


def metric(up: Up, name: str, workload_id: str) -> int:
    """A counter of one workload, all workers together."""
    total = 0.0
    for url in up.admin_urls:
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            for found, labels, value in _SAMPLE.findall(answer.read().decode()):
                total += float(value) if found == name and workload_id in labels else 0
    return int(total)


def base_line(up: Up, index: int, *, seconds: float) -> Holdings:
    """The least of each thing that a worker without clients has during some time.

    Whoever looks is a client of its admin port: one look alone may see another one's connection.
    """
    # Tasks are counted now and then: 0 is a worker that has not done so yet.
    wait_until(lambda: holdings(up, index).tasks, what="counted tasks")
    looks = [holdings(up, index)]
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(0.02)
        looks.append(holdings(up, index))
    least = [min(values) for values in zip(*(look.countable for look in looks), strict=True)]
    names = ("sockets", "files", "tasks", "clients")
    return replace(looks[-1], **dict(zip(names, least, strict=True)))


def at_rest(up: Up, index: int, *, most: Holdings) -> Holdings:
    """Wait until a worker has no more of anything than it had."""

    def look() -> Holdings | None:
        looks.append(holdings(up, index))
        more = zip(looks[-1].countable, most.countable, strict=True)
        return looks[-1] if all(here <= there for here, there in more) else None

    looks: list[Holdings] = []
    try:
        found: Holdings = wait_until(look, what=f"gateway-{index} is at rest")
    except AssertionError as exc:
        exc.add_note(f"it has {looks[-1]}, and had {most}")
        raise
    return found


def _target(path: Path) -> str:
    """Where a descriptor leads; empty when it is closed meanwhile."""
    try:
        return os.readlink(path)
    except OSError:
        return ""
