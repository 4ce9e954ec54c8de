"""What the API tells of a decision is what the CLI reads."""

import msgspec
import pytest

from controlplane.cli.decisions import decision_from_json
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.states import Importance
from controlplane.wire.journals import DecisionFormatted

PLAIN = Decision(
    id="d",
    at=1_767_225_600.0,
    workload_id="w",
    proton_id="p",
    replicas=3,
    previous_replicas=1,
    reason=Reason.ON_TARGET,
    steps=(Step(name="bounds", value=3, note="between 0 and 8"),),
    inputs={"load": 20.1, "hourly": None},
    next="10 more in flight -> 4",
)
GRANT = Grant(
    granted=1,
    refusal=Refusal.HELD,
    position=2,
    line=5,
    since=PLAIN.at - 60,
    until=PLAIN.at + 30,
    holders=(
        Holder(
            workload_id="o",
            proton_id="q",
            importance=Importance.HIGH,
            replicas=2,
            since=PLAIN.at - 600,
        ),
    ),
    gave_way_to="o",
    decided_reason="on_target",
    note="1 of 3 have room",
)


@pytest.mark.parametrize(
    "decision",
    [
        PLAIN,
        msgspec.structs.replace(PLAIN, reason=Reason.CAPACITY, grant=GRANT),
        msgspec.structs.replace(
            PLAIN,
            grant=msgspec.structs.replace(GRANT, until=None, holders=(), gave_way_to=None),
        ),
    ],
    ids=["plain", "refused", "refused-for-good"],
)
def test_a_decision_comes_back_as_it_was(decision: Decision):
    told = DecisionFormatted.of(decision).model_dump(mode="json", by_alias=True)
    assert decision_from_json(told) == decision


def test_an_answer_of_an_older_server_has_no_grant():
    told = DecisionFormatted.of(PLAIN).model_dump(mode="json", by_alias=True)
    del told["grant"]
    assert decision_from_json(told) == PLAIN
