"""`tidegate replay` on records as the API answers them."""

import json

import msgspec
import pytest
from typer.testing import CliRunner

from autoscaler.core.basis import Basis
from autoscaler.core.capacity_words import cut
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.replay.__main__ import app
from autoscaler.replay.errors import ReplayError
from autoscaler.version import code_version
from controlplane.model.grants import Grant, Refusal
from controlplane.model.workloads import ScalingPolicy
from controlplane.wire.journals import DecisionRecord
from tests.unit.autoscaler.core.reports_for_tests import steady

BASIS = Basis(
    observation=Observation(at=1.7e9 + 0.123456, ready=3, load=steady(31.2, mean_panic=100 / 3)),
    scaling=Scaling(
        workload_id="w",
        proton_id="p",
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=10),),
        max_replicas=8,
    ),
    state=DecisionState(wanted=3),
    now_s=1234.5678901,
)


def answer(**changes: object) -> str:
    """What the API says of a decision from `BASIS`."""
    decision, _ = BASIS.decide()
    told = msgspec.structs.replace(BASIS.told(decision), id="d" * 24, code=code_version())
    record = json.loads(DecisionRecord.of(told).model_dump_json())
    return json.dumps({**record, **changes})


def run(body: str, *arguments: str):
    return CliRunner().invoke(app, ["replay", *arguments], input=body, catch_exceptions=True)


def test_a_record_is_replayed_bit_for_bit():
    ended = run(answer())
    assert ended.exit_code == 0
    assert "bit-identical" in ended.stdout
    assert "3 -> 4 replicas" in ended.stdout
    assert "ceil(31.2 / 10) = 4" in ended.stdout


def test_what_capacity_left_of_it_is_not_part_of_the_decision():
    grant = Grant(
        granted=1,
        refusal=Refusal.HELD,
        position=1,
        line=2,
        since=0.0,
        decided_reason="on_target",
        note="1 of 4 have room",
    )
    decision, _ = BASIS.decide()
    told = BASIS.told(cut(msgspec.structs.replace(decision, id="d" * 24), grant))
    ended = run(DecisionRecord.of(told).model_dump_json(by_alias=True))
    assert ended.exit_code == 0
    assert "bit-identical" in ended.stdout
    assert "1 of 4 have room added after the decision" in " ".join(ended.stdout.split())


def test_a_record_is_read_from_a_file(tmp_path):
    path = tmp_path / "decision.json"
    path.write_text(answer(), encoding="utf-8")
    assert run("", str(path)).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"replicas": 7}, "differs: replicas: 7 -> 4", id="count"),
        pytest.param({"reason": "at_max"}, "differs: reason", id="reason"),
        pytest.param({"steps": []}, "differs: step damping", id="steps"),
        pytest.param({"next": "?"}, "differs: next: '?'", id="next"),
    ],
)
def test_what_differs_is_named_and_fails(changes, said):
    ended = run(answer(**changes))
    assert ended.exit_code == 1
    assert said in ended.stdout
    assert "was changed" in ended.stdout


def test_another_version_of_the_code_is_the_likely_cause():
    ended = run(answer(replicas=7, codeVersion="0.0.1+core.000000000000"))
    assert ended.exit_code == 1
    assert "Another version of the code made it" in ended.stdout


def test_json_says_whether_it_is_identical():
    told = json.loads(run(answer(), "--json").stdout)
    assert (told["identical"], told["differences"]) == (True, [])
    assert told["recordedBy"] == told["replayedBy"] == code_version()
    other = run(answer(replicas=7), "--json")
    assert other.exit_code == 1
    assert json.loads(other.stdout)["differences"] == [
        {"part": "replicas", "recorded": 7, "again": 4}
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("", "not a recorded decision", id="empty"),
        pytest.param(b"\xff\xfe", "not a recorded decision", id="bytes"),
        pytest.param("[]", "not a recorded decision", id="a-list"),
        pytest.param('{"id": "x"}', "not a recorded decision", id="not-a-record"),
        pytest.param(answer(basis=None), "has no basis", id="an-old-record"),
        pytest.param(answer(basis={"now_s": "x"}), "not a recorded decision", id="a-broken-basis"),
    ],
)
def test_what_is_no_record_is_refused(body, said):
    ended = run(body)
    assert isinstance(ended.exception, ReplayError)
    assert said in ended.exception.message
    assert ended.exception.hint
