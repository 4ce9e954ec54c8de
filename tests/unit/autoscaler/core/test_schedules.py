"""Which bounds hold by schedule, and how early replicas are started for it."""

import pytest

from autoscaler.core.schedules import Span, bounds_at, lead_of
from controlplane.model.behavior import Schedule

DAY = Span(100.0, 200.0, Schedule(cron="", duration_s=100, min_replicas=5, max_replicas=20))
NOON = Span(140.0, 160.0, Schedule(cron="", duration_s=20, min_replicas=30))
QUIET = Span(300.0, 400.0, Schedule(cron="", duration_s=100, max_replicas=1))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(89.0, (2, 10), id="the-groups"),
        pytest.param(90.0, (5, 10), id="a-minimum-counts-early"),
        pytest.param(100.0, (5, 20), id="it-begins"),
        pytest.param(130.0, (30, 30), id="another-ones-minimum-counts-early"),
        pytest.param(150.0, (30, 30), id="several-hold"),
        pytest.param(160.0, (5, 20), id="one-is-over"),
        pytest.param(200.0, (2, 10), id="all-are-over"),
        pytest.param(295.0, (2, 10), id="a-lower-maximum-does-not-count-early"),
        pytest.param(300.0, (1, 1), id="a-lower-maximum-lowers-the-minimum"),
    ],
)
def test_bounds(at, expected):
    assert bounds_at([DAY, NOON, QUIET], low=2, high=10, at=at, lead_s=10.0) == expected


@pytest.mark.parametrize(
    ("cold_starts", "expected"),
    [
        pytest.param([], 30.0, id="a-guess"),
        pytest.param([4.2], 5, id="whole-seconds"),
        pytest.param([*range(1, 11)], 10, id="nine-of-ten"),
        pytest.param([100.0, *[2.0] * 19], 2, id="one-that-was-slow-does-not-count"),
    ],
)
def test_the_lead_is_what_nine_of_ten_starts_took(cold_starts, expected):
    assert lead_of(cold_starts, guess_s=30.0) == expected
