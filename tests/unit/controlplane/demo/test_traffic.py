from collections import Counter
from itertools import pairwise

import pytest

from controlplane.cli.demo_run import STARTUP_S
from controlplane.demo.traffic import (
    BURST_PER_S,
    MAX_SECONDS,
    MIN_SECONDS,
    OVERHEAD_S,
    SHARES,
    STEADY_PER_S,
    phases,
    plan,
    tuning,
)
from controlplane.model.settings import resolve

LENGTHS = [MIN_SECONDS, 37, 60, MAX_SECONDS]


@pytest.mark.parametrize("seconds", LENGTHS)
def test_phases_follow_each_other_without_gaps_and_fit(seconds):
    found = phases(seconds)
    assert [phase.name for phase in found] == list(SHARES)
    assert found[0].start_s == 0
    assert all(a.end_s == b.start_s for a, b in pairwise(found))
    assert found[-1].end_s <= seconds - OVERHEAD_S + 1


@pytest.mark.parametrize("seconds", LENGTHS)
def test_requests_are_due_in_order_and_inside_their_phases(seconds):
    spans = {phase.name: phase for phase in phases(seconds)}
    planned = list(plan(seconds))
    assert all(a.at_s <= b.at_s for a, b in pairwise(planned))
    assert all(spans[p.phase].start_s <= p.at_s < spans[p.phase].end_s for p in planned)


def test_there_is_one_first_request_and_none_in_silence():
    counts = Counter(planned.phase for planned in plan(60))
    assert counts["first"] == 1
    assert set(counts) == {"first", "steady", "burst"}
    spans = {phase.name: phase.end_s - phase.start_s for phase in phases(60)}
    assert counts["steady"] == pytest.approx(STEADY_PER_S * spans["steady"], rel=0.25)
    assert counts["burst"] == pytest.approx(BURST_PER_S * spans["burst"], rel=0.1)


def test_the_same_seed_makes_the_same_traffic():
    assert list(plan(30)) == list(plan(30))
    assert list(plan(30)) != list(plan(30, seed=2))


def test_the_first_request_is_a_prediction_and_some_later_ones_stream():
    planned = list(plan(60))
    assert planned[0].path == "/predict"
    assert {p.path.partition("?")[0] for p in planned} == {"/predict", "/stream"}


@pytest.mark.parametrize("seconds", LENGTHS)
def test_settings_are_known_and_quiet_is_long_enough_for_zero(seconds):
    tuned = tuning(seconds)
    flags = dict(text.split("=") for text in tuned.assignments())
    settings, _ = resolve(flags=flags)
    assert settings.autoscaler.cooldown_s == tuned.cooldown_s
    quiet = phases(seconds)[-1]
    assert tuned.stable_window_s + tuned.cooldown_s < quiet.end_s - quiet.start_s


@pytest.mark.parametrize("seconds", LENGTHS)
def test_the_first_replica_is_still_there_for_the_steady_traffic(seconds):
    _, first, steady, *_ = phases(seconds)
    leaves_s = first.start_s + STARTUP_S + tuning(seconds).cooldown_s
    assert leaves_s >= steady.start_s + 0.4
