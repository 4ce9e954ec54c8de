from datetime import UTC

import msgspec
import pytest

from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.explain import (
    REASONS,
    change,
    headline,
    nameless,
    number,
    render,
    with_names,
)
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.states import Importance

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


def test_a_refusal_names_holders_position_and_moments():
    grant = Grant(
        granted=1,
        refusal=Refusal.MIN_RUN,
        position=2,
        line=5,
        since=DECISION.at - 60,
        until=DECISION.at + 30,
        holders=(
            Holder(
                workload_id="other",
                proton_id="q",
                importance=Importance.LOW,
                replicas=2,
                since=DECISION.at - 3600,
            ),
        ),
        gave_way_to="third",
        decided_reason="on_target",
        note="1 of 3 have room",
    )
    cut = msgspec.structs.replace(DECISION, reason=Reason.CAPACITY, grant=grant)
    text = render(cut, workload_name="predictor", zone=UTC)
    assert (
        "\n\nruns:  1 may, for the rest there is no capacity (min_run)\n"
        "waits: since 2025-12-31 23:59:00, last asked 2026-01-01 00:00:00, then 2. of 5 in line, "
        "until 2026-01-01 00:00:30 at least\n"
        "has it: workload other (low), 2 replicas since 2025-12-31 23:00:00\n"
        "gave way to: workload third\n\nseen:" in text
    )
    assert headline(cut, zone=UTC).endswith("  3 replicas wanted, 1 may run  (capacity)")
    named = render(cut, workload_name="predictor", zone=UTC, names={"other": "batch"})
    assert "has it: workload batch (low)" in named
    assert "gave way to: workload third" in named
    shorter = msgspec.structs.replace(grant, until=None, holders=(), gave_way_to=None)
    text = render(msgspec.structs.replace(cut, grant=shorter), workload_name="predictor", zone=UTC)
    assert "2. of 5 in line\n\nseen:" in text
    placeless = msgspec.structs.replace(shorter, refusal=Refusal.UNSETTLED, position=0, line=0)
    text = render(msgspec.structs.replace(cut, grant=placeless), workload_name="x", zone=UTC)
    assert "last asked 2026-01-01 00:00:00\n" in text


def test_a_refusals_sentence_has_the_names_that_its_reader_may_know():
    seen, hidden = "a1" * 12, "b2" * 12
    note = f"held by workload {seen} (high, 2), workload {hidden} (low, 1)"
    named = f"held by workload 'chat' {seen} (high, 2), workload {hidden} (low, 1)"
    assert with_names(note, {seen: "chat"}.get) == named
    assert with_names(note, nameless) == note
    assert with_names(f"workload {seen}0", {seen: "chat"}.get) == f"workload {seen}0"


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
