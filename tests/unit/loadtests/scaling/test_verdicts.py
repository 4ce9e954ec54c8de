import pytest

from loadtests.scaling.verdicts import compare, points

PEER = [(1.0, 400.0), (2.0, 200.0), (4.0, 100.0)]


def halved(line):
    return [(hours, delayed / 2) for hours, delayed in line]


def test_only_the_front_counts():
    runs = [
        {"replica_hours": hours, "delayed": delayed}
        for hours, delayed in [(2, 200), (3, 900), (1, 400)]
    ]
    assert points(runs) == [(1, 400), (2, 200)]


def test_half_the_delay_at_equal_cost_is_better():
    verdict = compare(halved(PEER), PEER)
    assert verdict.ratio == pytest.approx(0.5, rel=0.02)
    assert verdict.reach == (1.0, 4.0)
    assert verdict.hours_ratio < 1
    assert verdict.word == "better"


def test_the_other_side_of_it_is_worse():
    assert compare(PEER, halved(PEER)).word == "worse"


def test_a_front_against_itself_is_even():
    verdict = compare(PEER, PEER)
    assert (verdict.ratio, verdict.least, verdict.most) == pytest.approx((1, 1, 1))
    assert verdict.word == "even"


def test_fronts_that_share_no_cost_are_judged_at_equal_delay():
    cheaper = [(0.2, 300.0), (0.5, 150.0)]
    verdict = compare(cheaper, PEER)
    assert verdict.ratio is None
    assert verdict.word == "better"


def test_fronts_that_share_nothing_are_apart():
    verdict = compare([(9.0, 5.0)], [(1.0, 900.0)])
    assert (verdict.ratio, verdict.hours_ratio, verdict.word) == (None, None, "apart")


def test_nothing_delayed_on_either_side_is_even():
    assert compare([(1.0, 0.0), (2.0, 0.0)], [(1.0, 0.0), (2.0, 0.0)]).word == "even"
