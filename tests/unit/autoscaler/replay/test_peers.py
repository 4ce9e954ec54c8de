import pytest

from autoscaler.replay.peers import PEERS, Hpa, HpaCpu, Keda, Knative, Terms, mean_load
from autoscaler.replay.scaler import Seen
from autoscaler.replay.simulate import run
from autoscaler.replay.world import World
from tests.unit.autoscaler.replay.published import published_cases

TERMS = Terms(target=5, concurrency=10, max_replicas=40)


def seen(at_s, **changes):
    """One moment; what is not said is nothing."""
    zeros = dict.fromkeys(Seen.__struct_fields__, 0)
    return Seen(**zeros | {"now_s": at_s, "woken": False, "workers": ()} | changes)


def steady(load, seconds, *, service_s=1.0):
    """Requests evenly spaced so that `load` of them are in flight."""
    count = int(load * seconds / service_s)
    return [(i * service_s / load, service_s) for i in range(count)]


def first(scaler, wanted, *, changes):
    """Let a scaler look whenever it wants to; returns when it first answered `wanted`."""
    current = 1
    while scaler.next_s < 400:
        at_s = scaler.next_s
        current = scaler.look(seen(at_s, **{"wanted": current, "ready": current} | changes(at_s)))
        if current == wanted:
            return at_s
    return None


def test_knatives_request_statistics_table():
    for name, events, expected in published_cases()["request_stats"]["cases"]:
        if name == "non-monotonic":
            continue  # the engine's clock never steps back
        total, level, started, at_s, moments = 0.0, 0, 0, 0.0, [seen(0.0)]
        for what, at_ms in events:
            total += level * (at_ms / 1000 - at_s)
            at_s = at_ms / 1000
            if what == "report":
                moments.append(seen(at_s, load_seconds=total, started=started))
            elif what.startswith("in"):
                level, started = level + 1, started + 1
            else:
                level -= 1
        for before, after, want in zip(moments, moments[1:], expected, strict=False):
            assert mean_load(before, after) == pytest.approx(want[0]), name
            assert after.started - before.started == want[2], name


def test_no_time_has_no_load():
    assert mean_load(seen(1.0), seen(1.0, load_seconds=5)) == 0


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_steady_load_ends_at_what_its_target_says(name):
    scaler = PEERS[name](TERMS)
    outcome = run(steady(30, 400), World(concurrency=10, initial=6), scaler)
    per_replica = 8 if name == "hpa-cpu" else 5  # 80 % of ten
    assert outcome.timeline.rows[-20].wanted == pytest.approx(30 / per_replica, abs=1)
    assert outcome.failed == 0


@pytest.mark.parametrize(("name", "least"), [("knative", 0), ("keda", 0), ("hpa", 1)])
def test_what_each_leaves_when_nothing_comes(name, least):
    outcome = run(steady(4, 20), World(concurrency=10, initial=1), PEERS[name](TERMS), tail_s=500)
    assert outcome.timeline.rows[-1].ready == least


def test_knative_wakes_at_the_first_request():
    world = World(start_up=lambda _: 2.0)
    outcome = run([(10.25, 0.1)], world, Knative(TERMS))
    assert outcome.mean_wait_s == pytest.approx(2.0, abs=0.01)
    assert outcome.starts == 1


def test_keda_wakes_at_the_push_after_the_next_poll():
    world = World(start_up=lambda _: 2.0)
    outcome = run([(10.05, 0.1)], world, Keda(TERMS))  # polled at 10.5, pushed at 10.6
    assert outcome.mean_wait_s == pytest.approx(10.6 - 10.05 + 2.0, abs=0.01)


def test_knatives_zero_comes_a_window_after_the_last_request_has_left_the_average():
    outcome = run([(0.5, 1.0)], World(initial=1), Knative(TERMS), tail_s=200)
    gone_s = next(row.at_s for row in outcome.timeline.rows if row.running == 0)
    assert 61.5 <= gone_s <= 66


def test_kedas_zero_comes_a_cooldown_after_the_last_request():
    outcome = run([(10.0, 1.0)], World(initial=1), Keda(TERMS), tail_s=400)
    gone_s = next(row.at_s for row in outcome.timeline.rows if row.running == 0)
    assert 310 <= gone_s <= 313


def test_a_burst_is_seen_by_the_panic_window_long_before_the_hpas_sync():
    def burst(at_s):
        return {"load_seconds": 50.0 * max(0.0, at_s - 21.0), "in_flight": 50}

    assert first(Knative(TERMS), 10, changes=burst) <= 28
    assert first(Hpa(TERMS), 10, changes=burst) > 35


def test_bounds_are_kept():
    bounded = Terms(target=1, concurrency=10, min_replicas=2, max_replicas=3)
    for make in PEERS.values():
        outcome = run(steady(30, 60), World(concurrency=10, initial=2), make(bounded), tail_s=600)
        assert {row.wanted for row in outcome.timeline.rows} <= {2, 3}


def test_hpas_use_of_cpu_knows_nothing_before_its_first_sample_or_without_pods():
    scaler = HpaCpu(TERMS)
    assert first(scaler, 2, changes=lambda _: {"ready": 0}) is None


def test_knative_says_nothing_before_its_first_report():
    scaler = Knative(TERMS)
    assert scaler.look(seen(0.0, wanted=3, ready=3)) == 3


def test_knative_does_not_count_the_first_request_twice():
    scaler = Knative(Terms(target=0.02, concurrency=1))
    for second in range(11):
        scaler.look(seen(float(second)))
    woken = {"queued": 1, "started": 1, "woken": True}
    assert scaler.look(seen(10.25, **woken)) == 9  # 1 in one of six seconds: 0.1667 / 0.02
    wanted = {"wanted": 9, "starting": 9}
    scaler.look(seen(11.0, load_seconds=0.75, **wanted))
    assert scaler.look(seen(12.0, load_seconds=1.75, **wanted)) == 17  # and 1 in another
