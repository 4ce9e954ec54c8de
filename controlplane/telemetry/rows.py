"""Writing and deleting rows, with `held` and `traces` kept in step. Callers own the transaction."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from controlplane.telemetry.records import (
    ROW_OVERHEAD,
    Batch,
    LogRecord,
    MetricPoint,
    SpanRecord,
    to_json,
)

Row = tuple[Any, ...]
"""Column values in the table's order, without the id; the last is the size."""


class _Texts:
    """JSON of what records share, made once. Valid while the records live."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, value: object) -> str:
        """The same text for the same object."""
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = to_json(value)
        return known


_INSERT_LOG: Final = "INSERT INTO logs VALUES (NULL,?,?,?,?,?,?,?,?,?,?)"
_INSERT_SPAN: Final = "INSERT OR IGNORE INTO spans VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_POINT: Final = "INSERT INTO points VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"

_TRACE: Final = """
INSERT INTO traces VALUES (:workload, :trace_id, :start, :end, 1, :error, :rank, :start, :name,
  :service)
ON CONFLICT DO UPDATE SET
  start_ns = min(start_ns, excluded.start_ns), end_ns = max(end_ns, excluded.end_ns),
  spans = spans + 1, errors = errors + excluded.errors,
  root_rank = CASE WHEN {better} THEN excluded.root_rank ELSE root_rank END,
  root_ns = CASE WHEN {better} THEN excluded.root_ns ELSE root_ns END,
  root_name = CASE WHEN {better} THEN excluded.root_name ELSE root_name END,
  root_service = CASE WHEN {better} THEN excluded.root_service ELSE root_service END
""".replace("{better}", "(excluded.root_rank, excluded.root_ns) < (root_rank, root_ns)")
"""The root is a span without a parent; where none has come (the client's is elsewhere), the
earliest."""

_HOLD: Final = """
INSERT INTO held VALUES (?,?,?,?)
ON CONFLICT DO UPDATE SET
  rows = max(0, rows + excluded.rows), bytes = max(0, bytes + excluded.bytes)
"""

_OLDEST: Final = "SELECT id, size FROM {table} WHERE workload = ? {before} ORDER BY time_ns LIMIT ?"


def size_of(
    logs: Iterable[LogRecord],
    spans: Iterable[SpanRecord],
    points: Iterable[MetricPoint],
    *,
    limit: int,
) -> int:
    """Bytes that records take when they are written; counting ends once it is above a limit."""
    texts = _Texts()
    written = chain(
        (_log_row("", record, texts) for record in logs),
        (_span_row("", span, texts) for span in spans),
        (_point_row("", point, texts) for point in points),
    )
    total = 0
    for row in written:
        total += row[-1]
        if total > limit:
            break
    return total


def write(db: sqlite3.Connection, batches: Iterable[Batch]) -> None:
    """Insert everything, and note how far outputs have been read."""
    rows: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        workload = batch.workload_id
        texts = _Texts()
        logs = [_log_row(workload, record, texts) for record in batch.logs]
        points = [_point_row(workload, point, texts) for point in batch.points]
        db.executemany(_INSERT_LOG, logs)
        db.executemany(_INSERT_POINT, points)
        spans = [row for span in batch.spans if (row := _write_span(db, workload, span, texts))]
        for table, written in (("logs", logs), ("spans", spans), ("points", points)):
            if written:
                rows[workload, table] += len(written)
                sizes[workload, table] += sum(row[-1] for row in written)
        if batch.position is not None:
            at = batch.position
            if at.gone:
                db.execute("DELETE FROM tails WHERE replica = ?", (at.replica_id,))
            else:
                db.execute(
                    "INSERT OR REPLACE INTO tails VALUES (?,?,?,?,?)",
                    (at.replica_id, at.workload_id, at.proton_id, at.path, at.offset),
                )
    db.executemany(_HOLD, [(*key, count, sizes[key]) for key, count in rows.items()])


def delete_oldest(
    db: sqlite3.Connection, table: str, workload: str, *, limit: int, before_ns: int | None = None
) -> int:
    """Delete the oldest rows of a workload.

    Args:
        db: Inside a transaction.
        table: One of `schema.TABLES`.
        workload: Whose.
        limit: At most this many.
        before_ns: Only rows of before; None: any.

    Returns:
        How many were deleted.
    """
    before = "" if before_ns is None else "AND time_ns < ?"
    arguments = (workload, limit) if before_ns is None else (workload, before_ns, limit)
    query = _OLDEST.format(table=table, before=before)
    found = db.execute(query, arguments).fetchall()
    if not found:
        if before_ns is None:  # nothing is left: whatever `held` said
            db.execute("DELETE FROM held WHERE workload = ? AND tab = ?", (workload, table))
        return 0
    ids = [(row[0],) for row in found]
    traces = _traces_of(db, ids) if table == "spans" else set()
    db.executemany(f"DELETE FROM {table} WHERE id = ?", ids)  # noqa: S608 - one of three names
    for trace_id in traces:
        # Spans of one trace are of one time: what is left of it goes within seconds, too.
        db.execute(
            "DELETE FROM traces WHERE workload = :w AND trace_id = :t AND NOT EXISTS "
            "(SELECT 1 FROM spans WHERE workload = :w AND trace_id = :t)",
            {"w": workload, "t": trace_id},
        )
    freed = sum(row[1] for row in found)
    db.execute(_HOLD, (workload, table, -len(found), -freed))
    db.execute("DELETE FROM held WHERE workload = ? AND tab = ? AND rows = 0", (workload, table))
    return len(found)


def _traces_of(db: sqlite3.Connection, ids: list[tuple[int]]) -> set[str]:
    found = set()
    for span_id in ids:
        (trace_id,) = db.execute("SELECT trace_id FROM spans WHERE id = ?", span_id).fetchone()
        found.add(trace_id)
    return found


def _write_span(
    db: sqlite3.Connection, workload: str, span: SpanRecord, texts: _Texts
) -> Row | None:
    """The row; None: it was there already."""
    row = _span_row(workload, span, texts)
    if not db.execute(_INSERT_SPAN, row).rowcount:
        return None
    db.execute(
        _TRACE,
        {
            "workload": workload,
            "trace_id": span.trace_id,
            "start": span.start_ns,
            "end": span.start_ns + span.duration_ns,
            "error": int(span.status == "error"),
            "rank": int(bool(span.parent_span_id)),
            "name": span.name,
            "service": span.service,
        },
    )
    return row


def _log_row(workload: str, record: LogRecord, texts: _Texts) -> Row:
    attributes, resource = to_json(record.attributes), texts.of(record.resource)
    size = ROW_OVERHEAD + len(record.message) + len(record.stacktrace or "")
    return (
        workload,
        record.time_ns,
        record.severity,
        record.message,
        record.stacktrace,
        record.trace_id,
        record.span_id,
        attributes,
        resource,
        size + len(attributes) + len(resource),
    )


def _span_row(workload: str, span: SpanRecord, texts: _Texts) -> Row:
    told = [
        to_json(span.attributes),
        texts.of(span.resource),
        texts.of(span.scope),
        to_json(span.events),
        to_json(span.links),
    ]
    size = 2 * ROW_OVERHEAD + len(span.name) + len(span.service) + len(span.status_message)
    return (
        workload,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        span.service,
        span.start_ns,
        span.duration_ns,
        span.status,
        span.status_message,
        *told,
        size + sum(map(len, told)),
    )


def _point_row(workload: str, point: MetricPoint, texts: _Texts) -> Row:
    told = [to_json(value) for value in (point.bounds, point.counts, point.attributes)]
    told.append(texts.of(point.resource))
    size = ROW_OVERHEAD + len(point.name) + len(point.unit) + len(point.description)
    return (
        workload,
        point.time_ns,
        point.name,
        point.type,
        point.unit,
        point.description,
        int(point.delta),
        point.start_ns,
        point.value,
        point.count,
        *told,
        size + sum(map(len, told)),
    )
