"""The access log: one JSON line per request, written by a thread in batches."""

import queue
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

import msgspec

MAX_PATH = 1024


class Line(msgspec.Struct, omit_defaults=True):
    """One request in the access log. Durations are milliseconds, sizes are bytes."""

    time: float
    method: str
    path: str
    status: int
    ending: str
    workload: str = ""
    proton: str = ""
    replica: str = ""
    request_id: str = ""
    code: str = ""
    """Code of the gateway's own answer."""
    duration_ms: float = 0.0
    queued_ms: float = 0.0
    bytes_out: int = 0
    attempts: int = 0
    client: str = ""


class AccessLog:
    """Takes lines without ever blocking the event loop.

    A full queue (a disk that does not keep up) drops lines and counts them: requests go on.
    """

    MAX_QUEUED = 10_000
    MAX_STRANGERS = 100
    """Lines a second about requests without a caller: a flood of them is no flood of the log."""

    def __init__(
        self, mode: str, *, sample_ratio: float = 1.0, out: BinaryIO | None = None
    ) -> None:
        self.mode = mode
        """`off`, `errors` or `all`."""
        self.sample_ratio = sample_ratio
        self.dropped = 0
        self._second = 0
        self._strangers = 0
        self._out = out or sys.stdout.buffer
        self._queue: queue.Queue[Line | None] = queue.Queue(self.MAX_QUEUED)
        self._thread: threading.Thread | None = None
        if mode != "off":
            self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()

    def wants(self, random: Callable[[], float], *, failed: bool) -> bool:
        """Whether a request's line is to be written.

        Args:
            random: Uniform on [0, 1), for the sample.
            failed: It was refused, cut, or answered with a 5xx.
        """
        if self.mode == "all":
            return self.sample_ratio >= 1 or random() < self.sample_ratio
        return self.mode == "errors" and failed

    def write_stranger(self, line: Line) -> None:
        """Queue one line about a request without a caller, within a limit."""
        if int(line.time) != self._second:
            self._second = int(line.time)
            self._strangers = 0
        self._strangers += 1
        if self._strangers > self.MAX_STRANGERS:
            self.dropped += 1
        else:
            self.write(line)

    def write(self, line: Line) -> None:
        """Queue one line."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=5)
            self._thread = None

    def _run(self) -> None:
        encode = msgspec.json.Encoder().encode
        while True:
            batch = [self._queue.get()]
            while len(batch) < 1000 and not self._queue.empty():  # noqa: PLR2004 - one write a batch
                batch.append(self._queue.get_nowait())
            lines = [encode(line) for line in batch if line is not None]
            if lines:
                try:
                    self._out.write(b"\n".join(lines) + b"\n")
                    self._out.flush()
                except OSError:  # disk full, closed pipe: the data path goes on
                    self.dropped += len(lines)
            if None in batch:
                return


def path_of(target: bytes) -> str:
    """A target as it is logged: without its query, which may be secret, and not endless."""
    return target[:MAX_PATH].partition(b"?")[0].decode("latin-1")
