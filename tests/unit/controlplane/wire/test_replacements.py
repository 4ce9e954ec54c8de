import pytest

from controlplane.model.states import ReplacementStatus
from controlplane.model.workloads import ReplacementConfig, WeightRule, WeightStep
from controlplane.wire.families import Family
from controlplane.wire.replacements import (
    ReplacementConfigInput,
    ReplacementConfigShape,
    ReplacementFormatted,
    StartReplacement,
)
from tests.unit.controlplane.lifecycle.test_replacements import world
from tests.unit.controlplane.wire.refusals import refused, refused_because

WHOLE = {
    "warmupDurationMinutes": 2,
    "keepOldVersionMinutes": 0.5,
    "weightSteps": [
        {"percent": 10, "durationMinutes": 1},
        {"percent": 50, "durationMinutes": 1.5},
    ],
    "weightRule": {
        "errorRateMargin": 0.02,
        "latencyMargin": 0.5,
        "quantile": 0.99,
        "minRequests": 50,
        "onWorse": "rollback",
        "holdMinutes": 3,
    },
}


def model(body):
    return ReplacementConfigInput.model_validate(body).to_model()


def test_everything_can_be_said():
    assert model(WHOLE) == ReplacementConfig(
        warmup_s=120,
        keep_old_s=30,
        steps=(WeightStep(percent=10, duration_s=60), WeightStep(percent=50, duration_s=90)),
        rule=WeightRule(
            error_rate_margin=0.02,
            latency_margin=0.5,
            quantile=0.99,
            min_requests=50,
            on_worse="rollback",
            hold_s=180,
        ),
    )


@pytest.mark.parametrize("body", [{}, {"weightRule": None}, {"weightRule": {}}])
def test_nothing_said_is_the_models_default(body):
    assert model(body) == ReplacementConfig()


def test_what_is_answered_can_be_sent_back():
    answered = ReplacementConfigShape.of(model(WHOLE)).model_dump(mode="json")
    assert answered == WHOLE


def test_without_steps_no_rule_is_shown():
    assert ReplacementConfigShape.of(model({})).model_dump() == {
        "warmupDurationMinutes": 0,
        "keepOldVersionMinutes": 0,
        "weightSteps": [],
        "weightRule": None,
    }


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"warmupDurationMinutes": -1}, "warmupDurationMinutes"),
        ({"keepOldVersionMinutes": 43_201}, "keepOldVersionMinutes"),
        ({"warmupDurationMinutes": "1m"}, "warmupDurationMinutes"),
        ({"weightSteps": [{"percent": 0}]}, "weightSteps.0.percent"),
        ({"weightSteps": [{"percent": 100}]}, "weightSteps.0.percent"),
        ({"weightSteps": [{"percent": 1, "durationMinutes": -1}]}, "weightSteps.0.durationMinutes"),
        ({"weightSteps": [{"percent": 1}] * 51}, "weightSteps"),
        ({"weightSteps": [{"percent": 9}, {"percent": 8}]}, "weightSteps.1.percent"),
        ({"weightRule": {"errorRateMargin": 1.1}}, "weightRule.errorRateMargin"),
        ({"weightRule": {"latencyMargin": -0.1}}, "weightRule.latencyMargin"),
        ({"weightRule": {"quantile": 2}}, "weightRule.quantile"),
        ({"weightRule": {"minRequests": 0}}, "weightRule.minRequests"),
        ({"weightRule": {"onWorse": "panic"}}, "weightRule.onWorse"),
        ({"weightRule": {"holdMinutes": -1}}, "weightRule.holdMinutes"),
        ({"batchSize": 1}, "batchSize"),
    ],
)
def test_what_cannot_work_is_refused_where_it_stands(body, where):
    assert any(place.startswith(where) for place, _ in refused(ReplacementConfigInput, body))


def test_a_share_that_falls_is_refused_with_the_remedy():
    told = refused_because(
        ReplacementConfigInput, {"weightSteps": [{"percent": 9}, {"percent": 8}]}
    )
    assert "from the smallest to the largest" in told


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"strategy": "rolling"}, "artifactId"),
        ({"artifactId": "a"}, "strategy"),
        ({"artifactId": "a", "strategy": "canary"}, "strategy"),
        ({"artifactId": "a", "strategy": "rolling", "force": True}, "force"),
    ],
)
def test_a_start_names_an_artifact_and_the_one_strategy(body, where):
    assert [place for place, _ in refused(StartReplacement, body)] == [where]


def test_a_replacement_is_answered_whole():
    replacement = world(ReplacementStatus.SWITCHING, switched_at=2_000.0).situation.replacement
    answered = ReplacementFormatted.of(replacement, Family.NEW).model_dump(mode="json")
    assert answered["candidateProtonIds"] == ["d" * 24]
    assert answered["previousProtonIds"] == ["c" * 24]
    assert (answered["status"], answered["strategy"]) == ("switching", "rolling")
    assert answered["switchedAt"] == "1970-01-01T00:33:20.000000+00:00"
    assert (answered["isDeleted"], answered["deletedAt"]) == (False, None)


def test_a_replacement_without_protons_has_none():
    bare = world(
        ReplacementStatus.SUBMITTED,
        candidate_proton_id=None,
        previous_proton_id=None,
        deleted_at=1.0,
    ).situation.replacement
    answered = ReplacementFormatted.of(bare, Family.OLD)
    assert (answered.candidate_proton_ids, answered.previous_proton_ids) == ([], None)
    assert answered.is_deleted
