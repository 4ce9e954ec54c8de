"""An exchange's phases: what the table lists happens, and nothing else."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import exchange as module
from gateway.core.exchange import TRANSITIONS, Event, Phase, next_phase
from tests.unit.gateway.core.tables import table

ENDED = {Phase.DONE, Phase.FAILED}
LOSSES = {Event.LOST_SAFE, Event.LOST}


@pytest.mark.parametrize(
    ("phase", "event"),
    [pytest.param(p, e, id=f"{p.name}-{e.name}") for p, e in product(Phase, Event)],
)
def test_listed_pairs_move_and_all_others_are_refused(phase, event):
    if event in TRANSITIONS[phase]:
        assert next_phase(phase, event) == TRANSITIONS[phase][event]
    else:
        with pytest.raises(ValueError, match=f"{event.name} cannot happen .* {phase.name}"):
            next_phase(phase, event)


@pytest.mark.parametrize(
    ("events", "phases"),
    [
        pytest.param(
            [Event.SLOT, Event.WRITTEN, Event.HEAD, Event.COMPLETE],
            [Phase.ASSIGNED, Phase.SENT, Phase.COMMITTED, Phase.DONE],
            id="answered",
        ),
        pytest.param(
            [Event.SLOT, Event.WRITTEN, Event.UPGRADED, Event.COMPLETE],
            [Phase.ASSIGNED, Phase.SENT, Phase.TUNNEL, Phase.DONE],
            id="upgraded",
        ),
        pytest.param(
            [Event.SLOT, Event.LOST_SAFE, Event.SLOT, Event.WRITTEN, Event.LOST_SAFE],
            [Phase.ASSIGNED, Phase.QUEUED, Phase.ASSIGNED, Phase.SENT, Phase.QUEUED],
            id="repeated",
        ),
        pytest.param([Event.REFUSED], [Phase.FAILED], id="refused"),
    ],
)
def test_lives_of_requests(events, phases):
    phase = Phase.QUEUED
    for event, expected in zip(events, phases, strict=True):
        phase = next_phase(phase, event)
        assert phase is expected


@pytest.mark.parametrize("names", [Phase, Event])
def test_no_two_names_are_the_same(names):
    assert len(names.__members__) == len(names)


def test_phases_before_the_client_has_a_head_come_first():
    """The shell compares phases: what is below COMMITTED can still be answered."""
    unanswered = {p for p in Phase if Event.REFUSED in TRANSITIONS[p]}
    assert unanswered == {p for p in Phase if p < Phase.COMMITTED}


def test_every_phase_is_in_the_docstring_once_and_in_order():
    assert [row[0] for row in table(module, first="phase")] == [phase.name for phase in Phase]


@pytest.mark.parametrize("row", table(module, first="phase"), ids=lambda row: row[0])
def test_a_lost_replica_means_what_the_docstring_says(row):
    name, _, meaning = row
    moves = TRANSITIONS[Phase[name]]
    reached = {moves[event].name for event in LOSSES if event in moves}
    if meaning in {"cannot happen", "nothing"}:
        assert reached == set()
    else:
        # what the sentence names is where it may go; a refused repeat fails in any phase
        named = {phase.name for phase in Phase if phase.name in meaning}
        assert named <= reached
        assert reached - named <= {Phase.FAILED.name}


@pytest.mark.parametrize("phase", [p for p in Phase if p not in ENDED], ids=lambda p: p.name)
def test_a_vanishing_client_ends_every_live_exchange(phase):
    assert next_phase(phase, Event.CLIENT_GONE) in ENDED


def test_nothing_is_answered_by_the_gateway_or_repeated_once_the_client_has_a_head():
    for phase in (Phase.COMMITTED, Phase.TUNNEL):
        assert Event.REFUSED not in TRANSITIONS[phase]
        assert Event.LOST_SAFE not in TRANSITIONS[phase]


def test_an_exchange_ends_once():
    for phase in ENDED:
        assert TRANSITIONS[phase] == {}


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_any_sequence_of_events_ends_at_most_once_and_never_leaves_the_end(events):
    phase = Phase.QUEUED
    endings = 0
    for event in events:
        if event in TRANSITIONS[phase]:
            assert phase not in ENDED
            phase = next_phase(phase, event)
            endings += phase in ENDED
    assert endings <= 1
