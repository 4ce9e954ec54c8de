"""The tables of the telemetry file, and how a connection to it is set up.

    table    one row per                indexes
    -------  -------------------------  ------------------------------------------
    logs     line                       workload and time; trace id where there is one
    spans    span                       trace and span id (a span sent twice is one row)
    traces   trace, kept in step        workload and start
    points   point of a series          workload, name and time
    held     workload and table         rows and bytes, in step with every write
    tails    replica whose output is there: how far it is read

`held` is changed in the same transaction as the rows, so it is right after a crash, and for several
processes that share the file.
"""

import sqlite3
from pathlib import Path
from typing import Final

VERSION: Final = 1
"""`user_version`. A file of another version is set aside: telemetry is not worth a migration."""

FILE: Final = "telemetry.sqlite3"
TABLES: Final = ("logs", "spans", "points")
"""Those that age."""

BUSY_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE logs (
  id INTEGER PRIMARY KEY, workload TEXT NOT NULL, time_ns INTEGER NOT NULL,
  severity INTEGER NOT NULL, message TEXT NOT NULL, stacktrace TEXT, trace_id TEXT NOT NULL,
  span_id TEXT NOT NULL, attributes TEXT NOT NULL, resource TEXT NOT NULL, size INTEGER NOT NULL);
CREATE INDEX logs_by_time ON logs (workload, time_ns);
CREATE INDEX logs_by_trace ON logs (workload, trace_id) WHERE trace_id <> '';
CREATE TABLE spans (
  id INTEGER PRIMARY KEY, workload TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
  parent_span_id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, service TEXT NOT NULL,
  time_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, status TEXT NOT NULL,
  status_message TEXT NOT NULL, attributes TEXT NOT NULL, resource TEXT NOT NULL,
  scope TEXT NOT NULL, events TEXT NOT NULL, links TEXT NOT NULL, size INTEGER NOT NULL);
CREATE UNIQUE INDEX spans_by_id ON spans (workload, trace_id, span_id);
CREATE INDEX spans_by_time ON spans (workload, time_ns);
CREATE TABLE traces (
  workload TEXT NOT NULL, trace_id TEXT NOT NULL, start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL,
  root_rank INTEGER NOT NULL, root_ns INTEGER NOT NULL, root_name TEXT NOT NULL,
  root_service TEXT NOT NULL, PRIMARY KEY (workload, trace_id)) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (workload, start_ns);
CREATE TABLE points (
  id INTEGER PRIMARY KEY, workload TEXT NOT NULL, time_ns INTEGER NOT NULL, name TEXT NOT NULL,
  type TEXT NOT NULL, unit TEXT NOT NULL, description TEXT NOT NULL, delta INTEGER NOT NULL,
  start_ns INTEGER NOT NULL, value REAL, count INTEGER, bounds TEXT NOT NULL,
  counts TEXT NOT NULL, attributes TEXT NOT NULL, resource TEXT NOT NULL, size INTEGER NOT NULL);
CREATE INDEX points_by_name ON points (workload, name, time_ns);
CREATE INDEX points_by_time ON points (workload, time_ns);
CREATE TABLE held (
  workload TEXT NOT NULL, tab TEXT NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (workload, tab)) WITHOUT ROWID;
CREATE TABLE tails (
  replica TEXT PRIMARY KEY, workload TEXT NOT NULL, proton TEXT NOT NULL, path TEXT NOT NULL,
  offset INTEGER NOT NULL) WITHOUT ROWID;
"""


class BrokenFileError(Exception):
    """The file is no database, or not one of ours: it must be set aside."""


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection of a process that writes; makes the file where there is none.

    Raises:
        BrokenFileError: It cannot be used.
        sqlite3.OperationalError: The disk is full, or another process holds it for too long.
        OSError: The directory cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last seconds
        db.execute("PRAGMA journal_size_limit = 16777216")
        db.execute("PRAGMA temp_store = MEMORY")
        _prepare(db)
    except sqlite3.OperationalError:
        db.close()
        raise
    except (sqlite3.DatabaseError, BrokenFileError) as exc:
        db.close()
        raise BrokenFileError(str(exc)) from exc
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")  # two processes may find the file empty at once
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version != VERSION:
            if tables:
                _refuse(version)
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _refuse(version: int) -> None:
    raise BrokenFileError(f"it has version {version}, not {VERSION}")


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, for one query; use it in one thread and close it.

    Raises:
        sqlite3.OperationalError: There is no file.
    """
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    db.row_factory = sqlite3.Row
    return db


def used_bytes(db: sqlite3.Connection) -> int:
    """What is in use of the file; pages that were freed are not."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def set_aside(path: Path) -> Path:
    """Move a broken file out of the way, in place of one that was broken before."""
    broken = path.with_name(f"{path.name}.broken")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.replace(broken)
    return broken
