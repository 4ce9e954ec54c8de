from datetime import datetime

import pytest

from controlplane.wire import base
from tests.unit.controlplane.wire.refusals import refused


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000000+00:00"),
        (1790791679.572, "2026-09-30T18:07:59.572000+00:00"),
    ],
)
def test_times_carry_microseconds_and_their_zone(at, expected):
    assert base.timestamp(at) == expected
    assert datetime.fromisoformat(expected).timestamp() == pytest.approx(at)


def test_no_time_stays_none():
    assert base.maybe_timestamp(None) is None
    assert base.maybe_timestamp(0.0) == base.timestamp(0.0)


@pytest.mark.parametrize(("value", "shown"), [(30.0, "30"), (0.5, "0.5"), (7, "7")])
def test_whole_numbers_look_whole(value, shown):
    assert str(base.whole(value)) == shown


def test_maybe_converts_what_is_there():
    assert base.maybe(None, str) is None
    assert base.maybe(0, str) == "0"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "Input should be a valid number"),
        ([], "Input should be a valid number"),
        (None, "Input should be a valid number"),
        (True, "Input should be a number, not true or false"),
        (float("nan"), "Input should be a finite number"),
        ("inf", "Input should be a finite number"),
        (10**400, "Input should be a finite number"),
    ],
)
def test_what_is_no_number_is_refused_once_and_by_the_fields_own_name(value, message):
    class Body(base.Input):
        target: base.Number

    assert refused(Body, {"target": value}) == [("target", message)]
