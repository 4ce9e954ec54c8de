import json

import pytest

from controlplane.telemetry import levels
from controlplane.telemetry.lines import read_line

NOW_NS = 1_795_000_000_000_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
RESOURCE = {"replica_id": "r"}


def read(line: object):
    text = line if isinstance(line, str) else json.dumps(line)
    return read_line(text, time_ns=NOW_NS, resource=RESOURCE)


def test_plain_text_is_the_message_at_the_time_it_was_read():
    record = read("listening on 8000")
    assert (record.message, record.time_ns, record.severity) == (
        "listening on 8000",
        NOW_NS,
        levels.INFO,
    )
    assert record.resource == RESOURCE
    assert record.attributes == {}


def test_json_fields_become_level_message_time_ids_and_attributes():
    record = read(
        {
            "level": "error",
            "message": "it failed",
            "timestamp": "2026-11-18T18:26:41.5Z",
            "trace_id": TRACE.upper(),
            "span_id": SPAN,
            "exc_info": "Traceback ...",
            "user": 7,
        }
    )
    assert record.message == "it failed"
    assert record.severity == levels.ERROR
    assert record.time_ns == 1_795_026_401_500_000_000
    assert (record.trace_id, record.span_id) == (TRACE, SPAN)
    assert record.stacktrace == "Traceback ..."
    assert record.attributes == {"user": 7}


@pytest.mark.parametrize(
    "time",
    [
        1_795_000_001,
        1_795_000_001.0,
        1_795_000_001_000,
        1_795_000_001_000_000,
        1_795_000_001 * 10**9,
    ],
)
def test_times_as_numbers_may_be_in_any_usual_unit(time):
    assert read({"msg": "a", "ts": time}).time_ns == NOW_NS + 10**9


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "",
        12,
        None,
        True,
        [1],
        "1970-01-01T00:00:00Z",
        4e18,
        "9999-12-31T23:59:59+00:00",
    ],
)
def test_a_time_that_cannot_be_is_the_time_of_reading(time):
    assert read({"msg": "a", "time": time}).time_ns == NOW_NS


@pytest.mark.parametrize("ids", ["zz" * 16, "0" * 32, "abc", 12, None, TRACE + "0"])
def test_ids_that_are_none_are_left_out(ids):
    assert read({"msg": "a", "trace_id": ids}).trace_id == ""


def test_json_without_a_message_is_shown_as_it_came():
    record = read({"level": "warn", "code": 3})
    assert record.message == '{"level": "warn", "code": 3}'
    assert record.severity == levels.WARNING
    assert record.attributes == {}


def test_messages_that_are_no_texts_are_shown_as_json():
    assert read({"msg": {"a": [1]}}).message == '{"a":[1]}'


@pytest.mark.parametrize(
    "line",
    ["{not json", '{"a": "\\ud800"}', "{" * 5000, '["a"]', "{}x"],
    ids=["broken", "lone surrogate", "deep", "list", "trailing"],
)
def test_what_is_no_object_is_text(line):
    assert read(line).message == line


def test_endless_lines_are_cut_and_say_so():
    record = read("a" * 100_000)
    assert len(record.message) < 70_000
    assert record.message.endswith("characters cut)")
