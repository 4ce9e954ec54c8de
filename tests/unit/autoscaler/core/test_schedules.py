"""How early replicas are started for a schedule."""

import pytest

from autoscaler.core.schedules import lead_of


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
