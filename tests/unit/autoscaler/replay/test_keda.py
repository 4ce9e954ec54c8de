import pytest

from autoscaler.replay.keda import KedaSettings, KedaState, Polled, activate, sync

TEN = KedaSettings(target_concurrency=10, max_replicas=20)
RATE = KedaSettings(target_concurrency=None, target_rate=5)


def polled(concurrency=0, counts=()):
    seen = Polled()
    for second, count in enumerate(counts):
        seen.poll(concurrency=concurrency, count=count, now_s=float(second))
    seen.concurrency = concurrency
    return seen


@pytest.mark.parametrize(
    ("active", "current", "active_at_s", "now_s", "want"),
    [
        pytest.param(True, 0, None, 0.0, 1, id="wakes-one"),
        pytest.param(True, 7, None, 0.0, 7, id="the-rest-is-the-hpas"),
        pytest.param(False, 7, 0.0, 300.0, 7, id="cooling-down"),
        pytest.param(False, 7, 0.0, 300.5, 0, id="cooled-down-goes-from-any-count"),
        pytest.param(False, 3, None, 5.0, 0, id="never-active"),
        pytest.param(False, 0, 0.0, 900.0, 0, id="at-zero"),
    ],
)
def test_activity(active, current, active_at_s, now_s, want):
    state = KedaState(active_at_s=active_at_s)
    assert activate(TEN, state, active=active, current=current, now_s=now_s)[0] == want


def test_a_minimum_is_kept():
    settings = KedaSettings(min_replicas=2)
    assert activate(settings, KedaState(), active=False, current=1, now_s=9.0)[0] == 2


def test_the_hpa_scales_by_the_last_gauge():
    count, _ = sync(TEN, KedaState(), polled(48), current=1, now_s=0.0)
    assert count == 5


def test_the_hpa_leaves_zero_alone():
    assert sync(TEN, KedaState(), polled(48), current=0, now_s=0.0) == (0, KedaState())


def test_the_hpa_never_goes_below_one():
    count, _ = sync(TEN, KedaState(), polled(0), current=1, now_s=0.0)
    assert count == 1


def test_a_rate_is_averaged_over_its_window_and_the_first_poll_is_no_difference():
    seen = polled(counts=[1000, 1010, 1020, 1030])
    assert seen.rate.average(3) == 10
    assert sync(RATE, KedaState(), seen, current=1, now_s=3.0)[0] == 2


def test_the_higher_of_two_metrics_wins():
    both = KedaSettings(target_concurrency=10, target_rate=5)
    assert sync(both, KedaState(), polled(40, [0, 10]), current=1, now_s=1.0)[0] == 4


@pytest.mark.parametrize(
    ("settings", "concurrency", "counts", "want"),
    [(TEN, 1, (), True), (TEN, 0, (0, 5), False), (RATE, 9, (), False), (RATE, 0, (0, 5), True)],
)
def test_active_is_whatever_it_scales_by(settings, concurrency, counts, want):
    assert polled(concurrency, counts).active(settings, now_s=1.0) is want
