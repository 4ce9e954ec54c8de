"""The telemetry store of one process: one thread writes in batches, readers open their own view.

    trouble                         what happens
    ------------------------------  ------------------------------------------------------------
    more comes than can be written  `submit` says so, and nothing waits: senders try later
    the disk is full, or nearly     records are dropped and counted, the log says it once a minute
    the file is broken              it is set aside, a new one begins, the log says it
    the file is too large           the workload that holds most loses its oldest, in small steps
    a reader takes too long         it is stopped: `SlowQueryError`

Nothing of this reaches the caller of `submit`, nor the rest of the process.
"""

import contextlib
import logging
import queue
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from controlplane.telemetry import rows, schema
from controlplane.telemetry.records import Batch, Position

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Batches that wait to be written; about a second's work."""
MAX_WAITING_SHARE: Final = 4
"""One workload's batches may take a quarter of that."""
GATHER_S: Final = 0.1
"""How long the writer waits for more before it writes: one transaction for many batches."""
MAX_GATHERED: Final = 256

PURGE_ROWS: Final = 1000
"""Rows deleted in one transaction: some 20 ms, in between which batches are written."""
PURGE_TO: Final = 0.95
"""A file that is too large is purged to this share of what it may be."""
CHECK_S: Final = 1.0
"""How often the size and the disk are looked at."""
QUERY_LIMIT_S: Final = 5.0
_COMPLAIN_S: Final = 60.0
_PROGRESS_STEPS: Final = 10_000

T = TypeVar("T")

log = logging.getLogger(__name__)


class SlowQueryError(Exception):
    """A query took too long; a narrower one may not."""


class Archive:
    """Called from any thread. `start` before, `stop` after; what waits then is written.

    Attributes:
        written: Batches written.
        dropped: Records lost to a full disk, a broken file or a fault.
        evicted: Records deleted before their time, because the file was full.
    """

    def __init__(self, directory: Path, *, max_bytes: int, min_free_bytes: int = 0) -> None:
        """Set limits.

        Args:
            directory: Where the file is.
            max_bytes: Most of it that may be in use.
            min_free_bytes: Nothing is written with less free disk space.
        """
        self.path = directory / schema.FILE
        self.written = 0
        self.dropped = 0
        self.evicted = 0
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._queue: queue.SimpleQueue[Batch | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._waiting_bytes = 0
        self._cutoffs: dict[str, int] = {}
        self._db: sqlite3.Connection | None = None
        self._room = True
        self._checked_s = float("-inf")
        self._complained_s = float("-inf")
        self._purging = False
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """Write what waits, and end. Blocks."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def submit(self, batch: Batch) -> bool:
        """Have a batch written soon; False: too much waits, nothing was taken."""
        with self._lock:
            mine = self._waiting[batch.workload_id]
            if (
                self._waiting_bytes + batch.size > MAX_WAITING_BYTES
                or (mine and mine + batch.size > MAX_WAITING_BYTES // MAX_WAITING_SHARE)
                or not self._thread.is_alive()
            ):
                return False
            self._waiting[batch.workload_id] += batch.size
            self._waiting_bytes += batch.size
        self._queue.put(batch)
        return True

    def expire(self, cutoffs: Mapping[str, int]) -> None:
        """Have old records deleted, in small steps.

        Args:
            cutoffs: Workload to epoch ns: its records of before go.
        """
        with self._lock:
            self._cutoffs = dict(cutoffs)

    def flush(self, *, timeout_s: float = 30.0) -> bool:
        """Wait until what was submitted is written; whether it was. Blocks."""
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    # -- reading ------------------------------------------------------------------------------

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run a query on a view of its own. Blocks.

        Args:
            query: Gets a connection that can only read, with rows by name.

        Returns:
            What it returned; None where there is no file yet, or it cannot be read.

        Raises:
            SlowQueryError: It took longer than `QUERY_LIMIT_S`.
        """
        try:
            if not self.path.stat().st_size:
                return None  # it is being made
            db = schema.open_reader(self.path)
        except (OSError, sqlite3.OperationalError):
            return None
        until_s = time.monotonic() + QUERY_LIMIT_S
        try:
            db.set_progress_handler(lambda: time.monotonic() > until_s, _PROGRESS_STEPS)
            return query(db)
        except sqlite3.DatabaseError as exc:
            if time.monotonic() > until_s:
                raise SlowQueryError from exc
            log.warning("telemetry cannot be read", extra={"error": str(exc)})
            return None
        finally:
            db.close()

    def positions(self) -> list[Position]:
        """How far outputs have been read. Blocks."""

        def query(db: sqlite3.Connection) -> list[Position]:
            found = db.execute("SELECT replica, workload, proton, path, offset FROM tails")
            return [
                Position(replica_id=r, workload_id=w, proton_id=p, path=path, offset=offset)
                for r, w, p, path, offset in found
            ]

        return self.read(query) or []

    def written_s(self) -> float:
        """When something was written last, by this process or one before; 0: never. Blocks."""
        newest = 0.0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                newest = max(newest, self.path.with_name(self.path.name + suffix).stat().st_mtime)
        return newest

    def workloads(self) -> list[str]:
        """Those that have records. Blocks."""

        def query(db: sqlite3.Connection) -> list[str]:
            return [name for (name,) in db.execute("SELECT DISTINCT workload FROM held")]

        return self.read(query) or []

    # -- the writer's thread ------------------------------------------------------------------

    def _run(self) -> None:
        running = True
        while running:
            batches, waiters, running = self._gather()
            try:
                self._work(batches)
            except Exception:
                log.exception("telemetry writer")  # a thread's root: it must go on
                self._lose(batches, "a fault")
            with self._lock:
                for batch in batches:
                    self._waiting[batch.workload_id] -= batch.size
                    self._waiting_bytes -= batch.size
                self._waiting = +self._waiting
            for waiter in waiters:
                waiter.set()
        if self._db is not None:
            self._db.close()

    def _gather(self) -> tuple[list[Batch], list[threading.Event], bool]:
        batches: list[Batch] = []
        waiters: list[threading.Event] = []
        until_s = None
        while len(batches) < MAX_GATHERED and not waiters:
            pause_s = 0.0 if self._purging else CHECK_S
            if until_s is not None:
                pause_s = max(0.0, until_s - time.monotonic())
            try:
                item = self._queue.get(timeout=pause_s) if pause_s else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batches, waiters, False
            if isinstance(item, threading.Event):
                waiters.append(item)
            else:
                batches.append(item)
                until_s = until_s or time.monotonic() + GATHER_S
        return batches, waiters, True

    def _work(self, batches: list[Batch]) -> None:
        try:
            db = self._db = self._db or schema.open_writer(self.path)
            if not self._has_room():
                self._lose(batches, "the disk has too little free space")
            elif batches:
                _in_transaction(db, lambda: rows.write(db, batches))
                self.written += len(batches)
            self._purging = self._purge(db)
        except sqlite3.OperationalError as exc:  # disk full, or held by another process
            self._lose(batches, str(exc))
        except OSError as exc:
            self._lose(batches, str(exc))
        except (sqlite3.DatabaseError, schema.BrokenFileError) as exc:
            self._set_aside(exc)
            self._lose(batches, str(exc))

    def _has_room(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._checked_s >= CHECK_S:
            self._checked_s = now_s
            self._room = shutil.disk_usage(self.path.parent).free >= self._min_free_bytes
        return self._room

    def _purge(self, db: sqlite3.Connection) -> bool:
        """Delete a few of what is too old or too much; whether there is more to do."""
        with self._lock:
            cutoffs = self._cutoffs
        for workload in list(cutoffs):
            for table in schema.TABLES:
                if self._delete(db, table, workload, before_ns=cutoffs[workload]):
                    return True
            with self._lock:
                if self._cutoffs is cutoffs:
                    del cutoffs[workload]
        limit = self._max_bytes * (PURGE_TO if self._purging else 1.0)
        if schema.used_bytes(db) <= limit:
            db.execute("PRAGMA incremental_vacuum(256)").fetchall()
            return False
        largest = db.execute(
            "SELECT workload FROM held GROUP BY workload ORDER BY sum(bytes) DESC LIMIT 1"
        ).fetchone()
        if largest is None:
            return False
        (table,) = db.execute(
            "SELECT tab FROM held WHERE workload = ? ORDER BY bytes DESC LIMIT 1", largest
        ).fetchone()
        self.evicted += self._delete(db, table, largest[0], before_ns=None)
        return True

    def _delete(
        self, db: sqlite3.Connection, table: str, workload: str, *, before_ns: int | None
    ) -> int:
        return _in_transaction(
            db,
            lambda: rows.delete_oldest(db, table, workload, limit=PURGE_ROWS, before_ns=before_ns),
        )

    def _set_aside(self, exc: Exception) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        try:
            broken = schema.set_aside(self.path)
        except OSError:
            broken = self.path
        log.error(
            "the telemetry file is broken: a new one begins",
            extra={"error": str(exc), "set_aside": str(broken)},
        )

    def _lose(self, batches: list[Batch], why: str) -> None:
        self._purging = False
        count = sum(len(b.logs) + len(b.spans) + len(b.points) for b in batches)
        self.dropped += count
        now_s = time.monotonic()
        if count and now_s - self._complained_s > _COMPLAIN_S:
            self._complained_s = now_s
            log.warning("telemetry is dropped: %s", why, extra={"dropped": self.dropped})


def _in_transaction(db: sqlite3.Connection, act: Callable[[], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = act()
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled it back already
            db.execute("ROLLBACK")
        raise
    return result
