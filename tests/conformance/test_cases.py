"""The catalogue, and the harness without a proxy between its two ends."""

import asyncio
import re
from functools import partial

import pytest

from tests.conformance import runner
from tests.conformance.cases.catalogue import CASES, GROUPS
from tests.conformance.peers import PEERS
from tests.conformance.script import Grade, Send, expand
from tests.conformance.wires import Lane
from tests.fakes.tools import require_tool

BY_ID = {case.id: case for case in CASES}


def test_ids_are_given_once() -> None:
    assert len(BY_ID) == len(CASES)


def test_features_are_named_once() -> None:
    assert len({group.name for group in GROUPS}) == len(GROUPS)


def test_every_case_names_its_rule_and_what_it_does() -> None:
    for case in CASES:
        assert re.fullmatch(r"\d{4} \d+(\.\d+)*", case.section), case.id
        assert 3 < len(case.title) <= 90, case.id
        assert "|" not in case.title, case.id
        assert isinstance(case.client[0], Send), case.id


def test_placeholders_are_put_in_before_lengths_are_counted() -> None:
    data = b"POST {P}/a\r\n{A}Length: {N} {X}\r\n{B}GET {P}/b{E}rest"
    assert expand(data, prefix=b"/p", lines=b"K: v\r\n") == (
        b"POST /p/a\r\nK: v\r\nLength: 8 8\r\nGET /p/brest"
    )
    assert expand(b"GET {P}/a", prefix=b"", lines=b"") == b"GET /a"


@pytest.mark.parametrize(
    "case_id",
    [
        "line-plain",
        "length-plain",
        "chunk-several",
        "alive-two",
        "alive-byte-by-byte",
        "stream-events",
        "stream-request",
        "stream-half-closed",
        "upgrade-websocket",
        "response-close",
        "response-cut-length",
        "interim-103-before",
        "interim-continue",
        "bodiless-head",
    ],
)
async def test_without_a_proxy_both_ends_understand_each_other(case_id: str) -> None:
    lane = Lane(BY_ID[case_id])
    try:
        port = await lane.listen()
        bare = partial(expand, prefix=b"", lines=b"")
        seen = await lane.run(("127.0.0.1", port), bare, 10.0)
    finally:
        await lane.close()
    assert runner.judge(lane.case, seen).grade is Grade.PASS, seen


@pytest.mark.parametrize("case_id", ["hop-named", "add-via", "smuggle-cl-te"])
async def test_a_wire_in_place_of_a_proxy_fails(case_id: str) -> None:
    lane = Lane(BY_ID[case_id])
    try:
        port = await lane.listen()
        bare = partial(expand, prefix=b"", lines=b"")
        seen = await lane.run(("127.0.0.1", port), bare, 0.5)
    finally:
        await lane.close()
    assert runner.judge(lane.case, seen).grade is Grade.FAIL, seen


def test_a_real_peer_passes_and_fails_what_it_is_known_for() -> None:
    """nginx near its defaults forwards requests, and never says Via."""
    nginx = PEERS[0]
    if nginx.find() is None:
        require_tool("nginx", nginx.install)
    cases = [BY_ID["line-plain"], BY_ID["length-plain"], BY_ID["add-via"]]
    results = asyncio.run(runner.run(nginx.name, cases, deadline_s=10.0))
    assert [r.verdict.grade for r in results] == [Grade.PASS, Grade.PASS, Grade.FAIL]
