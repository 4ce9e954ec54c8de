import pytest

from autoscaler.replay.buckets import Buckets
from tests.unit.autoscaler.replay.published import published_cases


def replayed(buckets, ops):
    for op, at_s, value in ops:
        if op == "rec":
            buckets.record(at_s, value)
        else:
            yield at_s, buckets.average(at_s), value


def test_knatives_window_average_table():
    case = published_cases()["buckets_window_average"]
    buckets = Buckets(case["window"], case["granularity"])
    for at_s, found, want in replayed(buckets, case["ops"]):
        assert found == pytest.approx(want, abs=1e-6), at_s


def test_kedas_sudden_stop_table():
    case = published_cases()["keda_buckets_sudden_stop"]
    for at_s, found, want in replayed(Buckets(case["window"], keda=True), case["ops"]):
        assert found == want, at_s


def test_knatives_two_windows_table():
    case = published_cases()["collector_aggregate"]
    stable, panic = Buckets(case["stable"]), Buckets(case["panic"])
    for second in range(10):
        stable.record(second, second + 5.0)
        panic.record(second, second + 5.0)
    assert stable.average(9) == case["want_stable"]
    assert panic.average(9) == case["want_panic"]


def test_nothing_recorded_is_nothing():
    buckets = Buckets(5)
    assert buckets.average(3) == 0
    assert buckets.empty(3)


def test_buckets_are_empty_once_a_whole_window_has_passed():
    buckets = Buckets(5)
    buckets.record(10, 1)
    assert not buckets.empty(15)
    assert buckets.empty(16)


def test_a_window_is_cut_at_six_digits_and_kedas_is_rounded_at_three():
    ours, keda = Buckets(3), Buckets(3, keda=True)
    for second, value in enumerate([0.0, 1.0, 1.0]):
        ours.record(second, value)
        keda.record(second, value)
    assert ours.average(2) == 0.666666
    assert keda.average(2) == 0.667
