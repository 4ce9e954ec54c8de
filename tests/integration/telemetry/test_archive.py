"""The telemetry file with its real thread and real SQLite."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from controlplane.telemetry import archive as archive_module
from controlplane.telemetry import queries, rows, schema
from controlplane.telemetry.archive import Archive, SlowQueryError
from controlplane.telemetry.queries import LogQuery, TraceQuery, Window
from controlplane.telemetry.records import Batch, LogRecord, MetricPoint, Position, SpanRecord

MIB = 1024 * 1024
T0 = 1_795_000_000_000_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

MakeArchive = Callable[..., Archive]


@pytest.fixture
def make_archive(tmp_path: Path) -> Iterator[MakeArchive]:
    started: list[Archive] = []

    def make(max_bytes: int = 64 * MIB, **options: int) -> Archive:
        made = Archive(tmp_path, max_bytes=max_bytes, **options)
        made.start()
        started.append(made)
        return made

    yield make
    for made in started:
        made.stop()


@pytest.fixture
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def log(message: str, at: int = 0, **fields: object) -> LogRecord:
    return LogRecord(time_ns=T0 + at, severity=9, message=message, **fields)  # type: ignore[arg-type]


def span(span_id: str, at: int = 0, **fields: object) -> SpanRecord:
    told = {
        "trace_id": TRACE,
        "name": span_id,
        "kind": "server",
        "service": "app",
        "duration_ns": 10,
        "status": "unset",
    }
    return SpanRecord(span_id=span_id * 8, start_ns=T0 + at, **(told | fields))  # type: ignore[arg-type]


def keep(archive: Archive, workload: str = "w", size: int = 10, **records: object) -> None:
    assert archive.submit(Batch(workload_id=workload, size=size, **records))  # type: ignore[arg-type]
    assert archive.flush()


def lines(archive: Archive, workload: str = "w", limit: int = 100, **filters: object) -> list[str]:
    query = LogQuery(window=Window(workload_id=workload), **filters)  # type: ignore[arg-type]
    found = archive.read(lambda db: queries.find_logs(db, query, offset=0, limit=limit))
    return [row["message"] for row in (found.rows if found else [])]


def traces(archive: Archive, **filters: object) -> list[dict[str, object]]:
    query = TraceQuery(window=Window(workload_id="w"), **filters)  # type: ignore[arg-type]
    found = archive.read(lambda db: queries.find_traces(db, query, offset=0, limit=100))
    return [dict(row) for row in (found.rows if found else [])]


def held(archive: Archive) -> dict[tuple[str, str], int]:
    found = archive.read(lambda db: db.execute("SELECT workload, tab, rows FROM held").fetchall())
    return {(row["workload"], row["tab"]): row["rows"] for row in found or []}


# -- what is kept, and found


def test_lines_come_back_newest_first_and_of_their_workload_only(archive):
    keep(archive, logs=[log("b", 2), log("a", 1), log("c", 2)])
    keep(archive, "other", logs=[log("x")])
    assert lines(archive) == ["c", "b", "a"]
    assert lines(archive, limit=2) == ["c", "b"]
    assert lines(archive, "other") == ["x"]
    assert lines(archive, "nobody") == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"severity": 17}, ["failed"]),
        ({"levels": ["info"]}, ["ok", "started"]),
        ({"levels": ["loud"]}, []),
        ({"includes": ["a"]}, ["failed", "started"]),
        ({"includes": ["a", "il"]}, ["failed"]),
        ({"includes": ["boom"]}, ["failed"]),
        ({"includes": ["A"]}, []),
        ({"includes": ["%"]}, []),
        ({"excludes": ["ed"]}, ["ok"]),
        ({"trace_id": TRACE}, ["ok"]),
        ({"span_id": "ab"}, ["ok"]),
        ({"attributes": [("proton_id", "p1")]}, ["failed"]),
        ({"attributes": [("user.name", "kim")]}, ["ok"]),
        ({"attributes": [("count", "3")]}, []),
        ({"attributes": [("user.name", "kim' OR 1=1 --")]}, []),
    ],
)
def test_filters_of_lines(archive, filters, found):
    keep(
        archive,
        logs=[
            log("started", 1),
            log("ok", 2, trace_id=TRACE, span_id="ab", attributes={"user.name": "kim", "count": 3}),
            LogRecord(
                time_ns=T0 + 3,
                severity=18,
                message="failed",
                stacktrace="boom",
                resource={"proton_id": "p1"},
            ),
        ],
    )
    wanted = sorted(found)
    assert sorted(lines(archive, **filters)) == wanted


def pages(archive, query, limit):
    """Walk all pages of a query as clients do, there and back: sizes of pages, and all rows."""

    def read(offset, limit):
        return archive.read(lambda db: query(db, offset=offset, limit=limit))

    sizes, rows, found = [], [], None
    while found is None or found.more:
        found = read(len(rows), limit)
        sizes.append(sum(row["size"] for row in found.rows))
        assert found.rows or not found.more
        rows += found.rows
    back = list(found.rows)
    while found.before is not None:
        found = read(*found.before)
        back = [*found.rows, *back]
    assert [row["id"] for row in back] == [row["id"] for row in rows]
    return sizes, rows


def test_the_page_before_one_beyond_the_end_ends_with_the_last_row(archive, monkeypatch):
    monkeypatch.setattr(queries, "MAX_PAGE_BYTES", 500)
    keep(archive, logs=[log("x" * 200, at) for at in range(5)])
    query = LogQuery(window=Window(workload_id="w"))
    for offset, before in ((7, (4, 1)), (9, (4, 5)), (100, (95, 5)), (0, None)):
        found = archive.read(lambda db: queries.find_logs(db, query, offset=offset, limit=5))  # noqa: B023
        assert found.before == before


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_are_bounded_in_bytes_too_and_hold_every_record_once(archive, monkeypatch, limit):
    monkeypatch.setattr(queries, "MAX_PAGE_BYTES", 5000)
    sizes = [10, 1000, 6000, 1, 1, 4000, 9000, 9000, 10, 10]  # some are larger than a page
    keep(
        archive,
        logs=[log("x" * size, at) for at, size in enumerate(sizes)],
        spans=[span(f"{at:02}", at, name="y" * size) for at, size in enumerate(sizes)],
    )
    window = LogQuery(window=Window(workload_id="w"))
    told, rows = pages(archive, partial(queries.find_logs, query=window), limit)
    assert [len(row["message"]) for row in rows] == sizes[::-1]
    assert max(told) < 5000 + 9000
    assert len(told) > 4
    told, rows = pages(archive, partial(queries.find_spans, workload_id="w", trace_id=TRACE), limit)
    assert [len(row["name"]) for row in rows] == sizes
    assert len(told) > 4


def test_a_window_holds_its_start_and_not_its_end(archive):
    keep(archive, logs=[log("a", 0), log("b", 10), log("c", 20)])
    query = LogQuery(window=Window(workload_id="w", start_ns=T0 + 10, end_ns=T0 + 20))
    found = archive.read(lambda db: queries.find_logs(db, query, offset=0, limit=9))
    assert [row["message"] for row in found.rows] == ["b"]
    assert not found.more


def test_a_trace_is_summed_up_from_its_spans_in_any_order(archive):
    keep(archive, spans=[span("c", 30, parent_span_id="b" * 8, status="error")])
    assert traces(archive)[0]["root_name"] == "c"
    keep(archive, spans=[span("b", 20, parent_span_id="a" * 8, service="gateway")])
    [trace] = traces(archive)
    assert (trace["root_name"], trace["root_service"]) == ("b", "gateway")
    keep(archive, spans=[span("a", 25, duration_ns=100)])
    [trace] = traces(archive)
    assert trace["root_name"] == "a"  # it has no parent, although it began later
    assert (trace["spans"], trace["errors"]) == (3, 1)
    assert (trace["start_ns"], trace["end_ns"]) == (T0 + 20, T0 + 125)


def test_a_span_that_is_sent_twice_counts_once(archive):
    keep(archive, spans=[span("a"), span("a")])
    keep(archive, spans=[span("a")])
    assert traces(archive)[0]["spans"] == 1
    assert held(archive) == {("w", "spans"): 1}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"errors": True}, ["two"]),
        ({"errors": False}, ["one"]),
        ({"root_names": ["one", "none"]}, ["one"]),
        ({"min_trace_ns": 50}, ["two"]),
        ({"min_span_ns": 50}, ["two"]),
        ({"max_span_ns": 50}, ["one"]),
        ({"attributes": [("a", "1")]}, ["one"]),
        ({"tools": ["search"]}, ["two"]),
        ({"generative": True}, ["two"]),
        ({"none": True}, []),
        ({}, ["two", "one"]),
        ({"ascending": True}, ["one", "two"]),
        ({"by_duration": True, "ascending": True}, ["one", "two"]),
    ],
)
def test_filters_of_traces(archive, filters, found):
    two = {"gen_ai.tool.name": "search"}
    keep(
        archive,
        spans=[
            span("one", trace_id="1" * 32, attributes={"a": "1"}),
            span("two", 5, trace_id="2" * 32, status="error", duration_ns=90, attributes=two),
        ],
    )
    assert [trace["root_name"] for trace in traces(archive, **filters)] == found


def point(name: str, value: float | None, at: int = 0, **fields: object) -> MetricPoint:
    told = {"type": "counter"} | fields
    return MetricPoint(time_ns=T0 + at, name=name, value=value, **told)  # type: ignore[arg-type]


def test_metrics_are_added_up_by_their_kind(archive):
    histogram = {"type": "histogram", "bounds": [1.0]}
    keep(
        archive,
        points=[
            point("began before", 10, 1),
            point("began before", 14, 2),
            point("began before", 3, 3),  # restarted
            point("began within", 4, 1, start_ns=T0 + 1),
            point("delta", 2, 1, delta=True),
            point("delta", 3, 2, delta=True),
            point("two series", 1, 1, start_ns=T0 + 1, attributes={"a": 1}),
            point("two series", 2, 1, start_ns=T0 + 1, attributes={"a": 2}),
            point("gauge", 1, 1, type="gauge"),
            point("gauge", 3, 2, type="gauge"),
            point("empty", None, 2, type="gauge"),
            point("h", 3.0, 1, count=2, counts=[1, 1], **histogram),
            point("h", 9.0, 1, count=2, counts=[0, 2], attributes={"a": 1}, **histogram),
        ],
    )
    found = archive.read(lambda db: queries.metric_values(db, Window(workload_id="w", start_ns=T0)))
    told = {value.name: (value.aggregation, value.value, value.current) for value in found}
    assert told == {
        "began before": ("sum", 7.0, 3.0),
        "began within": ("sum", 4.0, 4.0),
        "delta": ("sum", 5.0, 3.0),
        "two series": ("sum", 3.0, 3.0),
        "gauge": ("average", 2.0, 3.0),
        "empty": ("average", None, None),
        "h": ("histogram", 3.0, 3.0),
    }
    [h] = [value for value in found if value.name == "h"]
    assert (h.bounds, h.counts) == ([1.0], [1, 3])
    names = archive.read(lambda db: queries.metric_names(db, "w"))
    assert [row["name"] for row in names] == sorted(told)


def values(archive: Archive) -> dict[str, queries.MetricValue]:
    found = archive.read(lambda db: queries.metric_values(db, Window(workload_id="w")))
    return {value.name: value for value in found or []}


def test_buckets_are_added_up_where_they_fit(archive):
    told = {"type": "histogram", "count": 1}
    keep(
        archive,
        points=[
            point("h", 1.0, 9, **told),
            point("h", 1.0, 8, bounds=[1.0], counts=[1, 2, 3, 4], attributes={"a": 1}, **told),
            point("h", 1.0, 7, bounds=[float("inf")], counts=[1, 2], attributes={"a": 2}, **told),
            point("h", 1.0, 6, bounds=[1.0], counts=[1, 2], attributes={"a": 3}, **told),
            point("h", 1.0, 5, bounds=[1.0], counts=[10, 20], attributes={"a": 4}, **told),
            point("none", 1.0, 1, bounds=[1.0], **told),
        ],
    )
    found = values(archive)
    assert (found["h"].bounds, found["h"].counts) == ([1.0], [11, 22])
    assert (found["none"].bounds, found["none"].counts) == ([], [])


def test_sums_without_end_are_not_told(archive):
    keep(archive, points=[point("c", 1.7e308, at, delta=True) for at in range(3)])
    assert (values(archive)["c"].value, values(archive)["c"].current) == (None, 1.7e308)


def test_metrics_are_read_up_to_a_bound(archive, monkeypatch):
    long = {"a": "x" * 1000}
    points = [point("new", float(at), 100 + at, type="gauge", attributes=long) for at in range(50)]
    keep(archive, points=[*points, point("old", 1.0, 1, attributes=long)])
    monkeypatch.setattr(queries, "MAX_READ_BYTES", 2000)
    found = values(archive)
    assert list(found) == ["new"]
    assert found["new"].value == 24.5, "the points of a series cost next to nothing"
    monkeypatch.setattr(queries, "MAX_READ_BYTES", 5)
    assert values(archive) == {}
    names = archive.read(lambda db: queries.metric_names(db, "w"))
    assert [row["name"] for row in names] == ["new"]


def test_rows_are_as_large_as_was_counted_before(archive):
    shared = {"service.name": "app"}
    logs = [log("a", at, resource=shared) for at in range(3)]
    spans = [span("a", resource=shared, status_message="no")]
    points = [point("c", 1.0, unit="By", resource=shared)]
    keep(archive, logs=logs, spans=spans, points=points)
    found = archive.read(
        lambda db: db.execute("SELECT sum(bytes) AS all_bytes FROM held").fetchone()
    )
    assert found["all_bytes"] == rows.size_of(logs, spans, points, limit=MIB)
    assert len(lines(archive)) == 3


def test_positions_are_kept_with_their_lines_and_forgotten_at_the_end(archive):
    at = Position(replica_id="r", workload_id="w", proton_id="p", path="/x", offset=7)
    keep(archive, logs=[log("a")], position=at)
    assert archive.positions() == [at]
    ended = Position(
        replica_id="r", workload_id="w", proton_id="p", path="/x", offset=9, ended=True, gone=True
    )
    keep(archive, size=0, position=ended)
    assert archive.positions() == []


# -- what is bounded


def test_a_noisy_workload_loses_its_own_oldest_lines_and_nobody_elses(make_archive):
    archive = make_archive(2 * MIB)
    keep(archive, "quiet", logs=[log("precious")])
    for number in range(40):
        noise = [log(f"{number}-{i} " + "x" * 1000, number * 100 + i) for i in range(100)]
        keep(archive, "noisy", size=100_000, logs=noise)
    until(lambda: _used(archive) <= 2 * MIB, "the file shrinks")
    assert lines(archive, "quiet") == ["precious"]
    left = lines(archive, "noisy", limit=10_000)
    assert left[0].startswith("39-99 ")
    assert 100 < len(left) < 4000
    until(lambda: archive.evicted == 4000 - len(lines(archive, "noisy", 10_000)), "all counted")
    assert archive.dropped == 0
    until(lambda: held(archive)["noisy", "logs"] == len(lines(archive, "noisy", 10_000)), "held")


def _used(archive: Archive) -> int:
    return archive.read(schema.used_bytes) or 0


def test_what_is_too_old_goes(archive):
    keep(archive, logs=[log("old", 0), log("new", 100)], spans=[span("a", 0)])
    keep(archive, "other", logs=[log("kept", 0)])
    assert archive.workloads() == ["other", "w"]
    archive.expire({"w": T0 + 50})
    until(lambda: lines(archive) == ["new"], "old lines go")
    until(lambda: traces(archive) == [], "old traces go")
    assert lines(archive, "other") == ["kept"]
    archive.expire({"w": T0 + 1000})
    until(lambda: archive.workloads() == ["other"], "the workload is gone")


def test_too_much_at_once_is_refused_by_workload(tmp_path):
    archive = Archive(tmp_path, max_bytes=64 * MIB)
    assert not archive.submit(Batch(workload_id="w", size=1)), "it has not started"
    share = archive_module.MAX_WAITING_BYTES // archive_module.MAX_WAITING_SHARE
    database = schema.open_writer(archive.path)
    database.execute("BEGIN IMMEDIATE")  # nobody else can write
    archive.start()
    try:
        assert archive.submit(Batch(workload_id="noisy", size=share))
        assert not archive.submit(Batch(workload_id="noisy", size=1))
        assert archive.submit(Batch(workload_id="quiet", size=1))
    finally:
        database.execute("ROLLBACK")
        database.close()
        archive.stop(timeout_s=30)


# -- what goes wrong


def test_nothing_is_lost_over_a_stop_and_a_start(make_archive):
    first = make_archive()
    assert first.submit(Batch(workload_id="w", size=1, logs=[log("a")]))
    first.stop()
    second = make_archive()
    keep(second, logs=[log("b", 1)])
    assert lines(second) == ["b", "a"]


def test_two_processes_can_share_a_file(make_archive):
    one, two = make_archive(), make_archive()
    keep(one, logs=[log("a", 1)])
    keep(two, logs=[log("b", 2)])
    assert lines(one) == lines(two) == ["b", "a"]
    assert held(one) == {("w", "logs"): 2}


def test_a_file_that_is_no_database_is_set_aside(tmp_path, make_archive, caplog):
    (tmp_path / schema.FILE).write_bytes(b"this was a database" * 1000)
    archive = make_archive()
    until((tmp_path / f"{schema.FILE}.broken").exists, "it is set aside")
    keep(archive, logs=[log("a")])
    assert lines(archive) == ["a"]
    assert "broken" in caplog.text


def test_a_file_of_another_version_is_set_aside(tmp_path, make_archive):
    other = sqlite3.connect(tmp_path / schema.FILE)
    other.executescript("CREATE TABLE logs (id); PRAGMA user_version = 99;")
    other.close()
    archive = make_archive()
    until((tmp_path / f"{schema.FILE}.broken").exists, "it is set aside")
    keep(archive, logs=[log("a")])
    assert lines(archive) == ["a"]


def test_a_file_that_breaks_while_it_is_used_is_set_aside(tmp_path, make_archive):
    first = make_archive()
    keep(first, logs=[log("x" * 500, i) for i in range(500)])
    first.stop()
    path = tmp_path / schema.FILE
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    second = make_archive()
    for number in range(20):
        second.submit(Batch(workload_id="w", size=1, logs=[log("y", number)]))
        second.flush()
    assert (tmp_path / f"{schema.FILE}.broken").exists()
    keep(second, logs=[log("z", 10_000)])
    assert lines(second)[0] == "z"
    assert second.dropped > 0


def test_a_full_disk_drops_telemetry_and_nothing_else(make_archive, caplog):
    archive = make_archive(min_free_bytes=2**62)
    keep(archive, logs=[log("a"), log("b")], points=[point("c", 1)])
    assert archive.dropped == 3
    assert lines(archive) == []
    assert "telemetry is dropped" in caplog.text


def test_a_directory_that_cannot_be_made_drops_telemetry(tmp_path):
    (tmp_path / "file").write_text("")
    archive = Archive(tmp_path / "file" / "inside", max_bytes=MIB)
    archive.start()
    keep(archive, logs=[log("a")])
    assert archive.dropped == 1
    assert lines(archive) == []
    archive.stop()


def test_a_query_that_takes_too_long_is_stopped(archive, monkeypatch):
    keep(archive, logs=[log("a")])
    monkeypatch.setattr(archive_module, "QUERY_LIMIT_S", 0.01)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(SlowQueryError):
        archive.read(lambda db: db.execute(endless).fetchall())


def test_readers_cannot_write(archive):
    keep(archive, logs=[log("a")])
    assert archive.read(lambda db: db.execute("DELETE FROM logs")) is None
    assert lines(archive) == ["a"]


def test_attributes_that_are_too_long_are_replaced_by_a_note(archive):
    keep(archive, logs=[log("a", attributes={"long": "x" * 100_000})])
    [row] = archive.read(lambda db: db.execute("SELECT attributes FROM logs").fetchall())
    assert list(json.loads(row["attributes"])) == ["tidegate.cut"]


def test_when_something_was_written_last_is_known(tmp_path, make_archive):
    assert Archive(tmp_path / "new", max_bytes=MIB).written_s() == 0
    before = time.time() - 5
    archive = make_archive()
    keep(archive, logs=[log("a")])
    assert archive.written_s() > before
