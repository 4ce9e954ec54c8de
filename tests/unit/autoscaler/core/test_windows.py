"""Means from cumulative reports stay exact whatever happens to the reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.steps import LoadView
from autoscaler.core.windows import LoadWindows
from controlplane.model.reports import WorkerNumbers
from tests.unit.autoscaler.core.reports_for_tests import P, load, report


def windows(*, stable_s: float = 60.0, panic_s: float = 6.0) -> LoadWindows:
    return LoadWindows(stable_s=stable_s, panic_s=panic_s, max_age_s=5.0)


def view_of(seen: LoadWindows, now_s: float, proton: str = P) -> LoadView:
    found = seen.view(proton, now_s=now_s)
    assert found is not None
    return found


def watch(seen: LoadWindows, until_s: int, concurrency: float, *, from_s: int = 0) -> None:
    """Reports of one worker every second with an even load, on our own clock."""
    for second in range(from_s, until_s + 1):
        seen.observe(
            [report(second, {P: load(concurrency * second, in_flight=round(concurrency))})],
            now_s=float(second),
        )


def test_nothing_is_known_before_the_first_report():
    seen = windows()
    seen.observe([], now_s=1.0)
    assert seen.view(P, now_s=1.0) is None
    assert seen.acknowledged_revision(now_s=1.0) is None


def test_one_report_is_believed_as_it_is():
    seen = windows()
    seen.observe([report(500.0, {P: load(9000.0, in_flight=4, queued=2)})], now_s=10.0)
    now = view_of(seen, 10.0)
    assert (now.load, now.in_flight, now.queued) == (6, 4, 2)
    assert now.mean_stable == now.mean_panic == 6
    assert now.coverage_ratio == 0


def test_the_mean_of_an_even_load_is_that_load_from_the_second_report_on():
    seen = windows()
    for second in range(100):
        watch(seen, second, 7, from_s=second)
        now = view_of(seen, float(second))
        assert now.mean_stable == pytest.approx(7)
        assert now.mean_panic == pytest.approx(7)
        assert now.coverage_ratio == pytest.approx(min(1, second / 60))


def test_each_window_has_its_own_mean():
    seen = windows()
    watch(seen, 94, 0)
    for second in (95, 97, 100):
        seen.observe([report(second, {P: load((second - 94) * 30.0, in_flight=30)})], now_s=second)
    now = view_of(seen, 100.0)
    assert now.mean_panic == pytest.approx(30)
    assert now.mean_stable == pytest.approx(30 * 6 / 60)


def test_a_window_may_begin_between_two_reports():
    seen = windows(stable_s=10, panic_s=2)
    for clock_s, total in ((0, 0.0), (4, 0.0), (8, 40.0), (12, 40.0)):
        seen.observe([report(clock_s, {P: load(total, finished={"2xx": 1})})], now_s=clock_s)
    # From 2 to 12 all of it; the last two seconds nothing.
    assert view_of(seen, 12.0).mean_stable == pytest.approx(4)
    assert view_of(seen, 12.0).mean_panic == 0
    seen.observe([report(16, {P: load(40.0, finished={"2xx": 1})})], now_s=16.0)
    # From 6 to 16: half of the load between 4 and 8.
    assert view_of(seen, 16.0).mean_stable == pytest.approx(2)


@pytest.mark.parametrize(
    "delivered",
    [
        pytest.param([0, 1, 2, 3, 4, 5, 6], id="all"),
        pytest.param([0, 6], id="lost"),
        pytest.param([0, 1, 1, 2, 3, 3, 6, 6], id="doubled"),
        pytest.param([0, 3, 1, 5, 2, 6, 4], id="out-of-order"),
    ],
)
def test_what_happens_to_reports_on_the_way_does_not_change_the_mean(delivered):
    totals = {0: 0.0, 1: 3.0, 2: 3.0, 3: 11.0, 4: 12.0, 5: 20.0, 6: 21.0}
    seen = windows(stable_s=6, panic_s=6)
    for number, clock_s in enumerate(delivered):
        seen.observe(
            [report(clock_s, {P: load(totals[clock_s], finished={"2xx": 1})})],
            now_s=6 * number / (len(delivered) - 1),
        )
    assert view_of(seen, 6.0).mean_stable == pytest.approx(21 / 6)


def test_reports_taken_one_by_one_ahead_of_the_rest_make_no_difference():
    together, one_by_one = windows(), windows()
    for second in range(20):
        reports = [
            report(second, {P: load(3.0 * second, in_flight=3)}, worker=worker)
            for worker in ("w1", "w2", *(["w3"] if second > 5 else []))
        ]
        for one in reports:
            one_by_one.take(one, now_s=float(second))
            if second:
                assert view_of(one_by_one, float(second)).workers >= 2
        one_by_one.observe(reports, now_s=float(second))
        together.observe(reports, now_s=float(second))
        assert view_of(one_by_one, float(second)) == view_of(together, float(second))


def test_a_long_gap_is_covered_exactly_when_reports_come_again():
    seen = windows()
    watch(seen, 60, 4)
    later = load(240 + 120 * 2.0, in_flight=2, finished={"2xx": 9})
    seen.observe([report(180, {P: later})], now_s=180.0)
    now = view_of(seen, 180.0)
    assert now.mean_stable == pytest.approx(2)
    assert now.coverage_ratio == 1


def test_loads_of_workers_add_up_whatever_their_clocks_say():
    seen = windows()
    for second in range(61):
        seen.observe(
            [
                report(second, {P: load(3.0 * second, in_flight=3)}, worker="a"),
                report(9e6 + second, {P: load(5.0 * second, in_flight=5)}, worker="b"),
                report(second, {}, worker="c"),
            ],
            now_s=float(second),
        )
    now = view_of(seen, 60.0)
    assert now.mean_stable == pytest.approx(8)
    assert now.in_flight == 8
    assert (now.workers, now.silent) == (3, 0)


def test_a_restarted_worker_is_another_worker_and_the_earlier_load_ends():
    seen = windows(stable_s=60, panic_s=6)
    watch(seen, 60, 10)
    for second in range(61, 91):
        clock_s = second - 60.0
        seen.observe(
            [report(clock_s, {P: load(10 * clock_s, in_flight=10)}, worker="w2")], now_s=second
        )
    now = view_of(seen, 90.0)
    assert now.in_flight == 10
    assert now.mean_panic == pytest.approx(10)
    # 30 s of the old instance and 29 s of the new: its first second is seen by its first report.
    assert now.mean_stable == pytest.approx(10 * 59 / 60)


def test_a_worker_that_vanished_counts_as_silent_then_as_dead():
    seen = windows()
    for second in range(61):
        reports = [report(second, worker="alive"), report(second, worker="dead")]
        seen.observe(reports, now_s=float(second))
    for second in range(61, 140):
        seen.observe([report(second, worker="alive")], now_s=float(second))
        now = view_of(seen, float(second))
        silent = 65 < second <= 126
        assert now.silent == int(silent), second
        assert now.coverage_ratio == (0.5 if silent else 1), second


def test_each_silence_is_held_against_a_worker_anew():
    seen = windows()
    for second in range(200):
        reports = [report(second)]
        if second <= 60 or second == 110:
            reports.append(report(second, worker="shy"))
        seen.observe(reports, now_s=float(second))
        # Silent from 66 on, and again from 116 on: each time for a whole window.
        silent = 65 < second < 110 or 115 < second <= 176
        assert view_of(seen, float(second)).silent == int(silent), second


def test_a_goodbye_is_forgiven():
    seen = windows()
    seen.observe([report(1), report(1, worker="b", draining=True)], now_s=1.0)
    seen.observe([report(2)], now_s=2.0)
    assert view_of(seen, 2.0).workers == 1
    seen.observe([report(3), report(3, worker="b")], now_s=3.0)
    assert view_of(seen, 3.0).workers == 2


def test_an_old_report_that_lies_about_is_not_a_new_worker():
    seen = windows()
    stale = report(60, {P: load(60.0, in_flight=1)}, worker="stuck")
    for second in range(61):
        reports = [
            report(second),
            report(second, {P: load(float(second), in_flight=1)}, worker="stuck"),
        ]
        seen.observe(reports, now_s=float(second))
    for second in range(61, 300):
        seen.observe([report(second), stale], now_s=float(second))
    now = view_of(seen, 299.0)
    assert (now.workers, now.silent, now.load) == (1, 1, 0)
    seen.observe([report(300)], now_s=300.0)
    assert view_of(seen, 300.0).silent == 0


def test_a_vanished_workers_load_leaves_the_window_with_time():
    seen = windows(stable_s=60, panic_s=6)
    for second in range(61):
        reports = [report(second), report(second, {P: load(6.0 * second, in_flight=6)}, worker="b")]
        seen.observe(reports, now_s=float(second))
    for second in range(61, 91):
        seen.observe([report(second)], now_s=float(second))
    now = view_of(seen, 90.0)
    assert now.load == 0
    assert now.mean_panic == 0
    assert now.mean_stable == pytest.approx(3)


def test_a_worker_that_said_goodbye_is_not_missed():
    seen = windows()
    for second in range(61):
        seen.observe([report(second), report(second, worker="b")], now_s=float(second))
    seen.observe([report(61), report(61, worker="b", draining=True)], now_s=61.0)
    assert view_of(seen, 61.0).workers == 2
    seen.observe([report(62)], now_s=62.0)
    now = view_of(seen, 62.0)
    assert (now.workers, now.silent, now.coverage_ratio) == (1, 0, 1)
    for second in range(63, 140):
        seen.observe([report(second)], now_s=float(second))
        assert view_of(seen, float(second)).coverage_ratio == 1


def test_a_worker_that_comes_back_from_silence_goes_on_where_it_was():
    seen = windows()
    for second in range(61):
        reports = [report(second), report(second, {P: load(2.0 * second, in_flight=2)}, worker="b")]
        seen.observe(reports, now_s=float(second))
    seen.observe([report(90)], now_s=90.0)
    assert view_of(seen, 90.0).silent == 1
    reports = [report(100), report(100, {P: load(200.0, in_flight=2)}, worker="b")]
    seen.observe(reports, now_s=100.0)
    now = view_of(seen, 100.0)
    assert now.silent == 0
    assert now.mean_stable == pytest.approx(2)


def test_the_oldest_of_the_reports_that_count_says_how_old_the_numbers_are():
    seen = windows()
    for second in range(11):
        reports = [report(second, worker="a"), report(min(second, 7), worker="b")]
        seen.observe(reports, now_s=float(second))
    assert view_of(seen, 10.0).age_s == 3
    assert view_of(seen, 11.5).age_s == 4.5
    assert view_of(seen, 12.5).age_s == 2.5, "b is silent now"


@pytest.mark.parametrize(
    ("panic_s", "mean"),
    [
        pytest.param(None, 4.0, id="everybodys"),
        pytest.param(6.0, 4.0, id="the-same"),
        pytest.param(3.0, 4.0, id="shorter"),
        pytest.param(12.0, 3.0, id="longer"),
        pytest.param(60.0, 2.2, id="as-long-as-the-stable-one"),
    ],
)
def test_a_proton_may_have_a_short_window_of_its_own(panic_s, mean):
    seen = windows()
    for second in range(61):
        total = 2.0 * second + 2.0 * max(0, second - 54)
        seen.observe([report(second, {P: load(total)})], now_s=float(second))
    for _ in range(2):
        found = seen.view(P, now_s=60.0, panic_s=panic_s)
        assert found is not None
        assert found.mean_panic == pytest.approx(mean)
        assert found.mean_stable == pytest.approx(2.2)
    assert view_of(seen, 60.0).mean_panic == pytest.approx(4.0)


def test_a_worker_that_is_gone_is_in_a_short_window_of_ones_own_as_in_everybodys():
    means = []
    for everybodys_s in (12.0, 6.0):
        seen = windows(panic_s=everybodys_s)
        for second in range(31):
            last = min(second, 20)
            gone = report(last, {P: load(2.0 * last, in_flight=2)})
            seen.observe([gone, report(second, worker="b")], now_s=float(second))
        found = seen.view(P, now_s=30.0, panic_s=12.0)
        assert found is not None
        means.append(found.mean_panic)
    assert means[0] == pytest.approx(means[1])
    assert means[0] > 0


def test_silence_of_all_is_no_data_and_not_no_load():
    seen = windows()
    watch(seen, 60, 3)
    assert seen.view(P, now_s=65.0) is not None
    assert seen.view(P, now_s=65.1) is None


def test_a_proton_that_appears_later_had_no_load_before():
    seen = windows(stable_s=10, panic_s=10)
    for second in range(10):
        seen.observe([report(second)], now_s=float(second))
    seen.observe([report(10, {P: load(5.0, in_flight=10)})], now_s=10.0)
    now = view_of(seen, 10.0)
    assert now.mean_stable == pytest.approx(0.5)
    assert now.load == 10


def test_a_proton_that_is_not_named_any_more_has_no_load():
    seen = windows(stable_s=10, panic_s=10)
    for second in range(11):
        seen.observe([report(second, {P: load(2.0 * second, in_flight=2)})], now_s=float(second))
    seen.observe([report(11)], now_s=11.0)
    now = view_of(seen, 11.0)
    assert now.load == 0
    assert now.mean_stable == pytest.approx(1.8)


def test_counters_that_begin_anew_are_added_and_not_subtracted():
    seen = windows(stable_s=10, panic_s=10)
    for second in range(6):
        seen.observe([report(second, {P: load(4.0 * second, in_flight=4)})], now_s=float(second))
    for second in range(6, 11):
        total = 4.0 * (second - 5)
        seen.observe([report(second, {P: load(total, in_flight=4)})], now_s=float(second))
    assert view_of(seen, 10.0).mean_stable == pytest.approx(4)


# -- idleness -----------------------------------------------------------------------------------


def test_idle_time_runs_from_the_last_load():
    seen = windows()
    watch(seen, 60, 1)
    for second in range(61, 75):
        seen.observe([report(second, {P: load(60.0, finished={"2xx": 9})})], now_s=float(second))
    # The report at 61 still differs from the one before: something ended between the two.
    assert view_of(seen, 74.0).idle_s == pytest.approx(13)
    assert view_of(seen, 74.0, proton="b" * 24).idle_s == pytest.approx(74)


def test_nothing_was_idle_before_it_was_made():
    seen = windows()
    watch(seen, 300, 1)
    for age_s, idle_s in [(1.5, 1.5), (400.0, 300.0), (-2.0, 0.0)]:
        found = seen.view("b" * 24, now_s=300.0, age_s=age_s)
        assert found is not None
        assert found.idle_s == pytest.approx(idle_s)


def test_a_request_between_two_reports_ends_idleness():
    seen = windows()
    for second in range(20):
        done = {"2xx": 1} if second >= 10 else {}
        total = 0.02 if second >= 10 else 0.0
        seen.observe([report(second, {P: load(total, finished=done)})], now_s=float(second))
    assert view_of(seen, 19.0).idle_s == pytest.approx(9)


def test_idleness_is_proven_across_a_gap_by_counters_that_did_not_move():
    seen = windows()
    for second in range(61):
        seen.observe([report(second, {P: load(7.0, finished={"2xx": 7})})], now_s=float(second))
    seen.observe([report(300, {P: load(7.0, finished={"2xx": 7})})], now_s=300.0)
    assert view_of(seen, 300.0).idle_s == pytest.approx(300)


def test_idleness_begins_anew_when_we_do():
    seen = windows()
    seen.observe([report(1e6, {P: load(123.0, finished={"2xx": 55})})], now_s=50.0)
    assert view_of(seen, 50.0).idle_s == 0


def test_a_new_worker_with_history_counts_as_activity():
    seen = windows()
    watch(seen, 60, 0)
    new = report(5, {P: load(0.1, finished={"2xx": 1})}, worker="b")
    seen.observe([report(61, {P: load()}), new], now_s=61.0)
    assert view_of(seen, 61.0).idle_s == 0


def test_a_wake_up_ends_idleness():
    seen = windows()
    watch(seen, 60, 0)
    seen.touch(P, now_s=55.0)
    assert view_of(seen, 60.0).idle_s == 5


def test_activity_and_speech_can_be_asked_for():
    seen = windows()
    assert not seen.speaks(now_s=0.0)
    watch(seen, 10, 1)
    assert seen.speaks(now_s=10.0)
    assert not seen.speaks(now_s=15.1)
    assert seen.active_since(P, since_s=10.0)
    assert not seen.active_since(P, since_s=10.5)
    assert not seen.active_since("b" * 24, since_s=0.0)


def test_load_now_is_not_idle():
    seen = windows()
    watch(seen, 60, 1)
    assert view_of(seen, 60.0).idle_s == 0


# -- waiting ------------------------------------------------------------------------------------


def cold_start(seen: LoadWindows, until_s: int, *, rate: int) -> LoadView:
    """Requests come at a rate and all wait, from second 100 on, after a quiet minute."""
    watch(seen, 100, 0)
    for second in range(101, until_s + 1):
        waited = second - 100
        queued = rate * waited
        total = rate * waited**2 / 2
        counters = load(total, queued=queued, queued_seconds=total)
        seen.observe([report(second, {P: counters})], now_s=float(second))
    return view_of(seen, float(until_s))


def test_waiting_counts_as_demand_for_a_second_while_services_are_quick_or_unknown():
    now = cold_start(windows(), 130, rate=20)
    assert now.load == 600
    assert now.belief_s == 1
    assert now.demand_now == pytest.approx(20)
    assert now.demand_panic == pytest.approx(20)
    assert now.demand_stable == pytest.approx(10)
    assert now.mean_panic == pytest.approx(20 * 27)


def test_a_burst_counts_in_full_when_it_comes():
    seen = windows()
    watch(seen, 100, 0)
    seen.observe([report(100.2, {P: load(0.0, queued=200)})], now_s=100.2)
    assert view_of(seen, 100.2).demand_now == 200


def test_waiting_counts_for_as_long_as_services_take():
    seen = windows(stable_s=60, panic_s=6)
    watch(seen, 100, 0)
    # Ten requests took 30 s each; now one comes every second and waits.
    for second in range(101, 141):
        waited = second - 100
        counters = load(
            300 + waited**2 / 2,
            queued=waited,
            queued_seconds=waited**2 / 2,
            finished={"2xx": 10, "refused": 5},
        )
        seen.observe([report(second, {P: counters})], now_s=float(second))
    now = view_of(seen, 140.0)
    assert now.belief_s == pytest.approx(30)
    assert now.demand_now == pytest.approx(30)


def test_a_queue_found_at_the_start_is_believed():
    seen = windows()
    seen.observe([report(9, {P: load(50.0, queued=40, queued_seconds=50.0)})], now_s=0.0)
    assert view_of(seen, 0.0).demand_now == 40


def test_only_workers_with_the_proton_are_asked_about_its_queue():
    seen = windows()
    for second in range(3):
        seen.observe(
            [report(second), report(second, {P: load(0.0, queued=3)}, worker="b")],
            now_s=float(second),
        )
    assert view_of(seen, 2.0).queued == 3


# -- what the reconciler needs ------------------------------------------------------------------


def test_loads_of_replicas_add_up_over_the_workers_that_speak():
    seen = windows()
    seen.observe(
        [
            report(1, endpoints={"r1": 2, "r2": 1}, revision=7),
            report(1, endpoints={"r1": 3}, revision=5, worker="b"),
        ],
        now_s=1.0,
    )
    assert seen.in_flight_by_replica(now_s=1.0) == {"r1": 5, "r2": 1}
    assert seen.acknowledged_revision(now_s=1.0) == 5
    seen.observe([report(8, revision=9)], now_s=8.0)
    assert seen.in_flight_by_replica(now_s=8.0) == {}
    assert seen.acknowledged_revision(now_s=8.0) == 9


def test_forgotten_protons_are_forgotten():
    seen = windows()
    watch(seen, 60, 5)
    seen.retain({"b" * 24})
    assert view_of(seen, 60.0).mean_stable == 0
    assert view_of(seen, 60.0).idle_s == 60
    watch(seen, 70, 5, from_s=61)
    seen.retain({P})
    assert view_of(seen, 70.0).in_flight == 5


def test_a_quiet_stretch_is_kept_as_one_row():
    seen = windows()
    watch(seen, 50, 0)
    watch(seen, 60, 0, from_s=51)
    worker = seen._workers["w1"]
    assert len(worker.series[P]) == 1


# -- properties ---------------------------------------------------------------------------------

levels = st.lists(st.integers(0, 50), min_size=2, max_size=40)


def reports_of(loads: list[int]) -> list[WorkerNumbers]:
    """One report per second of a load that changes at every second."""
    total, started, found = 0.0, 0, []
    before = 0
    for second, level in enumerate([*loads, 0]):
        started += max(0, level - before)
        before = level
        found.append(report(second, {P: load(total, in_flight=level, started=started)}))
        total += level
    return found


@given(loads=levels, data=st.data())
def test_any_subset_in_any_order_gives_the_mean_of_the_whole(loads, data):
    found = reports_of(loads)
    end_s = float(len(loads))
    middle = data.draw(st.permutations(found[1:-1]))
    kept = middle[: data.draw(st.integers(0, len(middle)))]
    seen = LoadWindows(stable_s=end_s, panic_s=end_s, max_age_s=5.0)
    seen.observe(found[:1], now_s=0.0)
    seen.observe(kept, now_s=end_s / 2)
    seen.observe(found[-1:], now_s=end_s)
    assert view_of(seen, end_s).mean_stable == pytest.approx(sum(loads) / len(loads))


@given(loads=levels)
def test_believed_demand_is_never_more_than_the_load(loads):
    seen = LoadWindows(stable_s=10.0, panic_s=3.0, max_age_s=5.0)
    waited = 0.0
    for second, one in enumerate(reports_of(loads)):
        counters = one.protons[P]
        waited += counters.in_flight / 2
        queued = counters.in_flight // 2
        counters = load(
            counters.load_seconds + waited,
            in_flight=counters.in_flight - queued,
            queued=queued,
            queued_seconds=waited,
            started=counters.started,
        )
        seen.observe([report(second, {P: counters})], now_s=float(second))
        now = view_of(seen, float(second))
        assert now.demand_stable <= now.mean_stable + 1e-9
        assert now.demand_panic <= now.mean_panic + 1e-9
        assert now.in_flight <= now.demand_now <= now.load
