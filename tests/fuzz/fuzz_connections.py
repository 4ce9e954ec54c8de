"""Whole connections: whatever clients and replicas do, in whatever order, nobody is mixed up.

An input is a play: acts divided by `DIVIDER`, each a letter and what it needs.

    letter  what happens                              letter  what happens
    ------  ----------------------------------------  ------  ------------------------------------
    c       the client says the rest                  r       its replica says the rest
    b       the same, byte by byte                    s       the same, byte by byte
    e       the client ends in order                  f       its replica ends in order
    x       the client is reset                       y       its replica's connection is reset
    p       the client stops reading                  q       its replica stops reading
    P       the client reads again                    Q       its replica reads again
    0-3     another client has the stage              o       its replica answers 200
    h       connects wait                             g, n    the oldest one succeeds, fails
    a, A    replicas leave, both come                 w, W    the workload is stopped, started
    t       so many seconds pass (`SECONDS`)         d       the worker begins to drain

A play that begins with `z` and a digit is in another of `stage.WORLDS`.
The plays of `seeds` are where fuzzing begins.
"""

from controlplane.model.states import Desired, ReplicaPhase
from tests.fuzz import verdicts
from tests.fuzz.pipes import Pipe
from tests.fuzz.stage import SMALL, WORLDS, Stage, run_on_stage

DIVIDER = b"\xfe"
MAX_ACTS = 60
SECONDS = (0.01, 0.05, 0.2, 0.5, 1.2, 2.5, 4.0, 6.0, 11.0, 18.0)
"""What the digit of `t` means: before and after every deadline of `stage.SMALL`."""

MAX_BYTES = 20_000
"""What is longer is cut: a play should take milliseconds."""


class Play:
    """Performs an input, and looks after every act whether everything adds up."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.clients: dict[str, Pipe] = {}
        self.client = self._client("0")

    def _client(self, name: str) -> Pipe:
        if name not in self.clients:
            self.clients[name] = self.stage.connect()
        return self.clients[name]

    def _replica(self) -> Pipe | None:
        """The replica that serves the client on stage; else the newest connection."""
        serving = self.stage.upstream_of(self.client)
        return serving or (self.stage.upstreams[-1] if self.stage.upstreams else None)

    async def act(self, letter: str, rest: bytes) -> None:
        if letter in "cbexpP":
            if letter == "x" or not self.client.lost:
                _peer(self.client, "cbexpP".index(letter), rest)
        elif letter in "rsfyqQ":
            replica = self._replica()
            if replica is not None and not replica.lost:
                _peer(replica, "rsfyqQ".index(letter), rest)
        elif letter in "0123":
            self.client = self._client(letter)
        elif letter == "t":
            digit = (rest[0] - ord("0")) % len(SECONDS) if rest else 3
            await self.stage.turns()
            await self._pass(SECONDS[digit])
        else:
            self._world(letter)
        await self.stage.turns()
        verdicts.check_now(self.stage)

    async def _pass(self, seconds: float) -> None:
        done = self.stage.loop.create_future()
        self.stage.loop.call_later(seconds, done.set_result, None)
        await done

    def _world(self, letter: str) -> None:
        stage = self.stage
        if letter == "h":
            stage.holding = not stage.holding
        elif letter in "gn":
            stage.let_connect(succeed=letter == "g")
        elif letter == "o":
            self._answer()
        elif letter in "aA":
            stage.announce_all(ReplicaPhase.READY if letter == "A" else ReplicaPhase.DRAINING)
        elif letter in "wW":
            stage.order(desired=Desired.RUNNING if letter == "W" else Desired.STOPPED)
        elif letter == "d":
            stage.worker.draining = True
            for client in stage.clients:
                client.protocol.drain()

    def _answer(self) -> None:
        replica = self._replica()
        if replica is None or replica.lost:
            return
        attempt = self.stage.attempt_on(replica)
        body = b"%d" % len(self.stage.attempts)
        if attempt is not None and attempt.exchange.head.method == b"HEAD":
            body = b""
        replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _peer(pipe: Pipe, deed: int, rest: bytes) -> None:
    """What a peer can do, by the place of its letter."""
    if deed == 0:
        pipe.send(rest)
    elif deed == 1:
        for at in range(len(rest)):
            pipe.send(rest[at : at + 1])
    elif deed == 2:
        pipe.end()
    elif deed == 3:
        pipe.reset()
    elif deed == 4:
        pipe.stall()
    else:
        pipe.read()


def acts(data: bytes) -> list[tuple[str, bytes]]:
    """An input as letters and what follows them."""
    parts = data[:MAX_BYTES].split(DIVIDER)[:MAX_ACTS]
    return [(chr(part[0]), part[1:]) for part in parts if part]


async def perform(data: bytes) -> Stage:
    """Perform a play; at the end everybody leaves."""
    performed = acts(data)
    settings, traffic = WORLDS[0]
    if performed and performed[0][0] == "z":
        settings, traffic = WORLDS[sum(performed[0][1][:1]) % len(WORLDS)]
    stage = Stage(replicas=2, traffic=traffic, **{**SMALL, **settings})
    stage.announce_last(ReplicaPhase.DRAINING)  # one is enough, until `A`
    play = Play(stage)
    for letter, rest in performed:
        if letter in "cbexpPrsfyqQ0123thgnoaAwWd":
            await play.act(letter, rest)
    for pipe in stage.clients + stage.upstreams:
        pipe.read()
    await stage.turns()
    verdicts.check_now(stage)
    verdicts.check_said(stage)
    await stage.close()
    verdicts.check_over(stage)
    return stage


def check(data: bytes) -> None:
    """One input of the fuzzer."""
    run_on_stage(perform(data))
