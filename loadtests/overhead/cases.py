"""What is measured: one row per case.

One case is the main one: the ratios that decide are taken from it.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from loadtests.overhead.application import EVENTS_PER_S
from loadtests.overhead.load import Client, Wrk

MAIN: Final = "json-64"
"""Small JSON answers on 64 keep-alive connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of load."""

    name: str
    label: str
    """A few words, for the chart."""
    title: str
    load: Wrk | Client
    path: str = "/predict"
    route: Literal["static", "streams"] = "static"
    unit: str = "request"
    """What is counted; CPU time is per one of these."""
    seconds: int = 1
    """Of load, per proxy and round."""
    fresh: bool = False
    """Whether proxies are started anew for each round: memory that an earlier round has left
    would hide what this one takes."""
    memory: bool = False
    """Whether memory per connection is what this is about."""


STREAMS: Final = 200
SPARE_FILES: Final = 100
"""Of a proxy, beside connections: listeners, logs, libraries."""

CASES: Final = (
    Case(
        name=MAIN,
        label="small JSON, 64 connections",
        title="Small JSON answers (about 100 bytes), 64 keep-alive connections",
        load=Wrk(connections=64),
        seconds=2,
    ),
    Case(
        name="json-1",
        label="small JSON, 1 connection",
        title="The same on 1 connection: nothing to do together with anything else",
        load=Wrk(connections=1),
    ),
    Case(
        name="json-256",
        label="small JSON, 256 connections",
        title="The same on 256 connections",
        load=Wrk(connections=256),
    ),
    Case(
        name="varied",
        label="small JSON, every head different",
        title="The same on 64 connections, every head different from all others",
        load=Wrk(connections=64, varied=True),
    ),
    Case(
        name="connect",
        label="a new connection per request",
        title="A new connection for every small request, 64 at a time",
        load=Wrk(connections=64, reconnect=True),
    ),
    Case(
        name="answer-16k",
        label="answers of 16 KiB",
        title="Answers of 16 KiB, 16 connections",
        load=Wrk(connections=16),
        path="/16k",
    ),
    Case(
        name="answer-1m",
        label="answers of 1 MiB",
        title="Answers of 1 MiB, 16 connections",
        load=Wrk(connections=16),
        path="/1m",
    ),
    Case(
        name="upload-64k",
        label="uploads of 64 KiB",
        title="Uploads of 64 KiB, 16 connections",
        load=Wrk(connections=16, upload_bytes=65_536),
        path="/sink",
        route="streams",
    ),
    Case(
        name="events",
        label="server-sent events",
        title=f"Server-sent events: {STREAMS} streams with {EVENTS_PER_S} events per second each",
        load=Client(kind="events", connections=STREAMS),
        path="/events",
        route="streams",
        unit="event",
    ),
    Case(
        name="websocket",
        label="WebSocket echo",
        title="WebSocket echo of 63 bytes: 64 connections, one message under way on each",
        load=Client(kind="websocket", connections=64),
        path="/ws",
        route="streams",
        unit="message",
    ),
    Case(
        name="idle",
        label="idle connections",
        title="Keep-alive connections, idle after one request each: 10,000 of them",
        load=Client(kind="idle", connections=10_000),
        unit="connection",
        fresh=True,
        memory=True,
    ),
)
"""In the order of the run and of the page."""

BY_NAME: Final = {case.name: case for case in CASES}


def fitted(case: Case, *, files: int) -> Case:
    """The case, with as many connections as processes with so many open files can hold.

    Ours takes connections for half of its files: each may need another one to a replica.
    """
    wanted = case.load.connections
    possible = min(wanted, files // 2 - SPARE_FILES)
    if possible == wanted:
        return case
    return replace(
        case,
        title=f"{case.title} (here {possible:,}: `ulimit -n` is {files:,})",
        load=replace(case.load, connections=possible),
    )
