"""Whole connections with nearly valid messages, in every order: nobody is mixed up."""

from hypothesis import HealthCheck, given, settings

from tests.fuzz import fuzz_connections
from tests.fuzz.mutants import plays
from tests.fuzz.seeds import connections

PLAYS = list(connections().values())


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(data=plays(PLAYS))
def test_every_play_adds_up(data):
    fuzz_connections.check(data)
