"""The least important go first, and an idle worker refuses nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.states import IMPORTANCE_ORDER, Importance
from gateway.core.overload import (
    SHARES,
    SPARE_DESCRIPTORS,
    UNLIMITED,
    allowed,
    connection_limit,
    exchange_limit,
)


@pytest.mark.parametrize(
    ("importance", "expected"),
    [
        (Importance.LOW, 800),
        (Importance.MODERATE, 900),
        (Importance.HIGH, 950),
        (Importance.CRITICAL, 1000),
    ],
)
def test_each_importance_has_its_share(importance, expected):
    assert allowed(1000, importance) == expected


def test_every_importance_has_a_share():
    assert list(SHARES) == list(IMPORTANCE_ORDER)


@given(limit=st.integers(1, 10**9))
def test_more_important_requests_never_get_less(limit):
    shares = [allowed(limit, importance) for importance in IMPORTANCE_ORDER]
    assert shares == sorted(shares)
    assert shares[0] >= 1
    assert shares[-1] == limit


@pytest.mark.parametrize("importance", list(Importance))
def test_without_a_limit_everything_is_allowed(importance):
    assert allowed(0, importance) == UNLIMITED


@pytest.mark.parametrize(
    ("wanted", "descriptors", "expected"),
    [
        pytest.param(5000, None, 5000, id="any-number-of-files"),
        pytest.param(0, None, 0, id="no-limit-at-all"),
        pytest.param(5000, 1024, 480, id="two-files-for-each"),
        pytest.param(100, 1024, 100, id="fewer-are-wanted"),
        pytest.param(0, 1024, 480, id="as-many-as-possible"),
        pytest.param(5000, SPARE_DESCRIPTORS, 1, id="at-least-one"),
    ],
)
@pytest.mark.parametrize("limit", [exchange_limit, connection_limit])
def test_no_more_than_the_operating_system_allows(limit, wanted, descriptors, expected):
    assert limit(wanted, descriptors=descriptors) == expected
