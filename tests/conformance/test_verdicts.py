"""The judges, on transcripts that are known to be right or wrong."""

from typing import Any

import pytest

from tests.conformance import verdicts
from tests.conformance.cases.building import in_step
from tests.conformance.cases.catalogue import CASES
from tests.conformance.script import PASS, Check, Grade, Transcript, Verdict
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    bad_gateway,
    cut,
    either,
    every,
    forwarded,
    has,
    interims,
    lacks,
    once,
    one_message,
    refused,
    relayed,
    tunnelled,
    wanted,
)


def asked(target: bytes = CASE, lines: bytes = b"", body: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: h\r\n%b\r\n%b" % (target, lines, body)


def told(body: bytes, status: int = 200, lines: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + lines + b"\r\n" + body


def seen(client: bytes = b"", end: str = "open", *origin: bytes, **more: Any) -> Transcript:
    return Transcript(client=client, client_end=end, origin=origin, **more)


BOTH = told(CASE) + told(AFTER)
NO = told(b"no", 400)
LENGTH = b"Content-Length: 5\r\n"
CL_TE = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"

RIGHT = [
    pytest.param(forwarded(), seen(told(CASE), "open", asked()), id="forwarded"),
    pytest.param(
        forwarded(CASE, AFTER), seen(BOTH, "open", asked() + asked(AFTER)), id="two-in-a-row"
    ),
    pytest.param(
        forwarded(CASE, AFTER), seen(BOTH, "open", asked(AFTER), asked()), id="two-connections"
    ),
    pytest.param(
        forwarded(body=b"hello"),
        seen(told(CASE), "open", asked(lines=LENGTH, body=b"hello")),
        id="its-body",
    ),
    pytest.param(forwarded(closes=True), seen(told(CASE), "eof", asked()), id="closed-after"),
    pytest.param(refused(), seen(NO, "eof"), id="refused"),
    pytest.param(refused(), seen(b"", "reset"), id="cut-without-a-word"),
    pytest.param(refused(400), seen(NO + told(AFTER), "open", asked(AFTER)), id="400-and-on"),
    pytest.param(refused(), seen(NO, "eof", asked()[:-2]), id="part-of-a-request-went-on"),
    pytest.param(one_message(), seen(NO, "eof"), id="one-message-refused"),
    pytest.param(one_message(), seen(told(CASE), "eof", asked()), id="one-message-alone"),
    pytest.param(
        one_message(), seen(BOTH, "open", asked() + asked(AFTER)), id="one-message-and-after"
    ),
    pytest.param(bad_gateway, seen(told(b"", 502)), id="502"),
    pytest.param(bad_gateway, seen(b"", "eof"), id="no-answer"),
    pytest.param(cut, seen(told(b"ok")[:-1], "eof"), id="visibly-cut"),
    pytest.param(cut, seen(told(b"", 502)), id="error-instead"),
    pytest.param(relayed(404, b"x"), seen(told(b"x", 404)), id="relayed"),
    pytest.param(relayed(200, b"b", at=1), seen(told(b"a") + told(b"b")), id="the-second"),
    pytest.param(
        relayed(200, b"", looks=(has("x", b"1", b"2"), lacks("y"))),
        seen(told(b"", lines=b"X: 1\r\nx: 2\r\n")),
        id="lines",
    ),
    pytest.param(interims(103), seen(b"HTTP/1.1 103 X\r\n\r\n" + told(b"")), id="interim"),
    pytest.param(in_step, seen(told(b"ok") + told(AFTER)), id="in-step"),
    pytest.param(in_step, seen(told(b"ok"), "eof"), id="ended-instead"),
    pytest.param(once(CASE), seen(b"", "eof", asked()), id="once"),
    pytest.param(
        tunnelled(b"in", b"out"),
        seen(b"HTTP/1.1 101 X\r\n\r\nin", "eof", asked() + b"out"),
        id="tunnel",
    ),
]

WRONG = [
    pytest.param(forwarded(), seen(NO), id="refused-what-is-valid"),
    pytest.param(forwarded(), seen(told(CASE), "open", asked(), asked()), id="sent-twice"),
    pytest.param(forwarded(), seen(told(AFTER), "open", asked()), id="another-ones-answer"),
    pytest.param(forwarded(), seen(told(CASE), "open", asked(lines=b"X : 1\r\n")), id="malformed"),
    pytest.param(forwarded(), seen(told(CASE), stalled="answer"), id="stalled"),
    pytest.param(
        forwarded(CASE, AFTER),
        seen(told(AFTER) + told(CASE), "open", asked() + asked(AFTER)),
        id="answers-out-of-order",
    ),
    pytest.param(
        forwarded(body=b"hello"),
        seen(told(CASE), "open", asked(lines=LENGTH, body=b"hellO")),
        id="another-body",
    ),
    pytest.param(forwarded(closes=True), seen(told(CASE), "open", asked()), id="stays-open"),
    pytest.param(
        forwarded(looks=(lacks("x"),)),
        seen(told(CASE), "open", asked(lines=b"X: 1\r\n")),
        id="a-line-too-many",
    ),
    pytest.param(refused(), seen(NO, "eof", asked()), id="refused-and-forwarded"),
    pytest.param(refused(), seen(told(CASE), "eof"), id="not-refused"),
    pytest.param(refused(400), seen(told(b"", 502), "eof"), id="another-error"),
    pytest.param(refused(400), seen(b"", "eof"), id="no-400"),
    pytest.param(refused(closes=True), seen(NO, "open"), id="refused-but-open"),
    pytest.param(refused(), seen(b"", "open"), id="hangs"),
    pytest.param(refused(), seen(b"garbage\r\n\r\n", "eof"), id="garbage"),
    pytest.param(
        one_message(),
        seen(BOTH, "open", asked() + asked(b"/hidden") + asked(AFTER)),
        id="smuggled",
    ),
    pytest.param(one_message(), seen(NO, "eof", asked(b"/hidden")), id="smuggled-although-refused"),
    pytest.param(
        one_message(), seen(told(CASE), "eof", asked(lines=CL_TE, body=b"0\r\n\r\n")), id="cl-te"
    ),
    pytest.param(
        one_message(),
        seen(told(CASE), "eof", asked(lines=b"X: a\nTransfer-Encoding: chunked\r\n")),
        id="behind-a-bare-lf",
    ),
    pytest.param(one_message(closes=True), seen(told(CASE), "open", asked()), id="must-close"),
    pytest.param(bad_gateway, seen(told(b"ok")), id="believed"),
    pytest.param(bad_gateway, seen(b"", "open"), id="waits-for-ever"),
    pytest.param(bad_gateway, seen(b"HTTP/1.1 2000 OK\r\n\r\n", "eof"), id="relayed-garbage"),
    pytest.param(cut, seen(told(b"ok"), "eof"), id="a-broken-answer-came-whole"),
    pytest.param(cut, seen(told(b"ok")[:-1], "open"), id="cut-but-open"),
    pytest.param(relayed(200), seen(told(b"", 201)), id="another-status"),
    pytest.param(relayed(200, b"ok"), seen(told(b"ko")), id="another-response-body"),
    pytest.param(relayed(200), seen(told(b"ok")[:-1]), id="not-whole"),
    pytest.param(relayed(200, at=1), seen(told(b"")), id="no-second"),
    pytest.param(interims(103), seen(told(b"")), id="no-interim"),
    pytest.param(in_step, seen(told(b"ok") + told(b"poison")), id="poisoned"),
    pytest.param(in_step, seen(told(b"ok") + b"poison\r\n\r\n"), id="left-over-bytes"),
    pytest.param(in_step, seen(told(b"ok")), id="no-next-answer"),
    pytest.param(once(CASE), seen(b"", "eof", asked(), asked()), id="not-once"),
    pytest.param(tunnelled(b"in", b""), seen(told(CASE), "open", asked()), id="no-tunnel"),
]


@pytest.mark.parametrize(("check", "transcript"), RIGHT)
def test_right_outcomes_pass(check: Check, transcript: Transcript) -> None:
    assert check(transcript) == PASS


@pytest.mark.parametrize(("check", "transcript"), WRONG)
def test_wrong_outcomes_fail_with_a_reason(check: Check, transcript: Transcript) -> None:
    verdict = check(transcript)
    assert verdict.grade is Grade.FAIL
    assert verdict.reason


def _gives(grade: Grade) -> Check:
    return lambda _: Verdict(grade, "" if grade is Grade.PASS else grade.value)


@pytest.mark.parametrize("first", list(Grade))
@pytest.mark.parametrize("second", list(Grade))
def test_every_takes_the_worst_and_either_the_best(first: Grade, second: Grade) -> None:
    order = list(Grade)
    worst, best = max(first, second, key=order.index), min(first, second, key=order.index)
    assert every(_gives(first), _gives(second))(seen()).grade is worst
    assert either(_gives(first), _gives(second))(seen()).grade is best


@pytest.mark.parametrize(
    ("feature", "legal", "expected"),
    [
        pytest.param(Grade.PASS, Grade.FAIL, Grade.PASS, id="offered"),
        pytest.param(Grade.FAIL, Grade.PASS, Grade.DIFFERS, id="not-offered"),
        pytest.param(Grade.FAIL, Grade.FAIL, Grade.FAIL, id="wrong"),
    ],
)
def test_a_feature_that_is_not_offered_differs(
    feature: Grade, legal: Grade, expected: Grade
) -> None:
    assert wanted(_gives(feature), legal=_gives(legal))(seen()).grade is expected


def test_no_case_passes_when_a_proxy_never_says_a_word() -> None:
    silent = seen(b"", "open", stalled="answer")
    assert [case.id for case in CASES if case.check(silent) == PASS] == []


def test_no_case_passes_when_a_proxy_answers_everything_itself() -> None:
    """But for those that may be refused, where 200 without forwarding is a failure too."""
    echo = seen(BOTH, "open")
    passed = [case.id for case in CASES if case.check(echo) == PASS]
    assert [case_id for case_id in passed if case_id.startswith(("smuggle-", "length-"))] == []


def test_no_smuggling_case_passes_when_the_hidden_request_gets_through() -> None:
    through = seen(
        told(CASE) + told(b"/hidden") + told(AFTER),
        "eof",
        asked() + asked(b"/hidden") + asked(AFTER),
    )
    smuggling = [case for case in CASES if case.id.startswith("smuggle-")]
    assert len(smuggling) > 30
    assert [case.id for case in smuggling if case.check(through).grade is not Grade.FAIL] == []


def test_the_targets_are_those_that_the_cases_use() -> None:
    assert (verdicts.CASE, verdicts.AFTER, verdicts.HIDDEN) == (b"/case", b"/after", b"/hidden")
