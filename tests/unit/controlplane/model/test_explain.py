from datetime import UTC

import pytest

from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.explain import REASONS, change, headline, number, render

DECISION = Decision(
    id="d",
    at=1_767_225_600.0,
    workload_id="w",
    proton_id="p",
    replicas=3,
    previous_replicas=1,
    reason=Reason.ON_TARGET,
    steps=(
        Step(name="policy:httpRequestsConcurrency", value=3, note="ceil(20.1 / 10) = 3"),
        Step(name="bounds", value=3, note=""),
    ),
    inputs={"load": 20.1, "queued": 3, "hourly": None, "gpu_cache": 0.5},
    next="10 more in flight -> 4",
)


def test_a_decision_is_told_from_who_to_what_would_change_it():
    assert render(DECISION, workload_name="predictor", zone=UTC) == (
        "predictor  workload w  proton p\n"
        "2026-01-01 00:00:00  1 -> 3 replicas  (on_target)\n"
        "because this is what the load needs.\n"
        "\n"
        "  step                            replicas  how\n"
        "  policy:httpRequestsConcurrency         3  ceil(20.1 / 10) = 3\n"
        "  bounds                                 3\n"
        "\n"
        "seen:  load 20.1, queued 3, gpu_cache 0.5\n"
        "\n"
        "next:  10 more in flight -> 4"
    )


def test_a_decision_without_details_is_three_lines():
    bare = Decision(
        id="d",
        at=0.0,
        workload_id="w",
        proton_id="p",
        replicas=1,
        previous_replicas=1,
        reason=Reason.FIXED,
    )
    assert render(bare, workload_name="a", zone=UTC).splitlines()[1:] == [
        "1970-01-01 00:00:00  stays at 1 replica  (fixed)",
        "because the owner asked for a fixed number.",
    ]
    assert headline(bare, zone=UTC) == "1970-01-01 00:00:00  stays at 1 replica  (fixed)"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason):
    assert REASONS[reason]


def test_changes_are_shown_with_their_direction():
    assert change(DECISION) == "1 -> 3 replicas"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.0, "3"), (0.5, "0.5"), (2 / 3, "0.67"), (100.0, "100"), (0.0, "0")],
)
def test_numbers_have_no_needless_zeros(value, expected):
    assert number(value) == expected
