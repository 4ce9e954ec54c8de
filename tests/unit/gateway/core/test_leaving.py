"""Half-closed or gone: the docstring's table, row by row."""

import h11
import pytest

from gateway.core import leaving as module
from gateway.core.exchange import ASSIGNED, COMMITTED, QUEUED, SENT
from gateway.core.leaving import CROSSING_S, STILL_THERE, is_half_closed, question
from tests.unit.gateway.core.tables import table

BEFORE = (QUEUED, ASSIGNED, SENT)
ROWS = {
    ("not whole", "any"): [
        (phase, {"body_done": False, "chunked": chunked, "more": True, "since_s": 0.0})
        for phase in (*BEFORE, COMMITTED)
        for chunked in (False, True)
    ],
    ("whole", "not begun"): [
        (phase, {"body_done": True, "chunked": False, "more": False, "since_s": 99.0})
        for phase in BEFORE
    ],
    ("whole", "chunked"): [
        (COMMITTED, {"body_done": True, "chunked": True, "more": False, "since_s": 99.0})
    ],
    ("whole", "begun < 1 s ago"): [
        (COMMITTED, {"body_done": True, "chunked": False, "more": False, "since_s": since_s})
        for since_s in (0.0, CROSSING_S - 0.001)
    ],
    ("whole", "begun before"): [
        (COMMITTED, {"body_done": True, "chunked": False, "more": False, "since_s": since_s})
        for since_s in (CROSSING_S, 99.0)
    ],
}


def test_the_table_has_these_rows():
    assert [row[:2] for row in table(module, first="its request is")] == list(ROWS)


@pytest.mark.parametrize("row", table(module, first="its request is"), ids="-".join)
def test_the_table_is_what_happens(row):
    for phase, facts in ROWS[row[:2]]:
        assert is_half_closed(phase, **facts) is row[2].startswith("half-closed")


def test_a_client_with_more_requests_in_line_is_there():
    assert is_half_closed(COMMITTED, body_done=True, chunked=False, more=True, since_s=99.0)


@pytest.mark.parametrize(
    ("phase", "minor", "chunked", "expected"),
    [
        pytest.param(SENT, 1, False, STILL_THERE, id="before-the-response"),
        pytest.param(QUEUED, 0, False, b"", id="http-1.0-has-no-1xx"),
        pytest.param(COMMITTED, 1, True, b"0", id="between-chunks"),
        pytest.param(COMMITTED, 1, False, b"", id="nothing-fits-in-another-body"),
    ],
)
def test_the_question_is_part_of_no_message(phase, minor, chunked, expected):
    assert question(phase, minor=minor, chunked=chunked) == expected


def test_a_client_reads_the_same_answer_with_the_questions_as_without():
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.receive_data(
        STILL_THERE + head + b"1\r\na\r\n" + b"0" + b"2\r\nbc\r\n" + b"0" + b"0\r\n\r\n"
    )
    assert client.next_event().status_code == 100
    assert client.next_event().status_code == 200
    assert b"".join(bytes(client.next_event().data) for _ in range(2)) == b"abc"
    assert isinstance(client.next_event(), h11.EndOfMessage)
