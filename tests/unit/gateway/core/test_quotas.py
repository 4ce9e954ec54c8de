"""Quotas: never too many in any window, and told when to come again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.traffic import Quota
from gateway.core.quotas import HOUR_S, MINUTE_S, SLOTS, QuotaBook, Refused, Usage, Window

CALLER = "a caller"


def book(**quota: int) -> QuotaBook:
    return QuotaBook(Quota(**quota), on_news=lambda: None)


def passes(quotas: QuotaBook, now_s: float, caller: str = CALLER) -> bool:
    """One request that ends at once."""
    taken = quotas.take(caller, now_s)
    if isinstance(taken, Refused):
        return False
    taken.end()
    return True


def refused(quotas: QuotaBook, now_s: float, caller: str = CALLER) -> Refused:
    taken = quotas.take(caller, now_s)
    assert isinstance(taken, Refused)
    return taken


TIMES = st.lists(st.floats(0, 20), max_size=60)
"""Seconds between requests."""


@given(gaps=TIMES, limit=st.integers(1, 8))
def test_in_no_minute_are_more_let_through_than_the_quota(gaps, limit):
    quotas = book(requests_per_minute=limit)
    now_s = 1000.0
    through = []
    for gap in gaps:
        now_s += gap
        if passes(quotas, now_s):
            through.append(now_s)
    for first in through:
        assert sum(first <= at < first + MINUTE_S for at in through) <= limit


@given(gaps=TIMES, limit=st.integers(1, 8))
def test_a_caller_waits_at_most_one_slot_longer_than_an_exact_log_says(gaps, limit):
    quotas = book(requests_per_minute=limit)
    slot_s = MINUTE_S / SLOTS
    now_s = 1000.0
    through: list[float] = []
    for gap in gaps:
        now_s += gap
        recent = [at for at in through if at > now_s - MINUTE_S - slot_s]
        if passes(quotas, now_s):
            through.append(now_s)
        else:
            assert len(recent) >= limit


@given(gaps=TIMES, minute=st.integers(1, 5), hour=st.integers(1, 12))
def test_who_waits_as_long_as_told_gets_through_and_not_a_second_before(gaps, minute, hour):
    quotas = book(requests_per_minute=minute, requests_per_hour=hour)
    now_s = 1000.0
    for gap in gaps:
        now_s += gap
        taken = quotas.take(CALLER, now_s)
        if isinstance(taken, Refused):
            if taken.retry_after > 1:
                assert not passes(quotas, now_s + taken.retry_after - 1)
            now_s += taken.retry_after
            assert passes(quotas, now_s)


def test_the_quota_may_be_used_up_at_one_instant():
    quotas = book(requests_per_minute=60)
    assert [passes(quotas, 5.0) for _ in range(61)] == [True] * 60 + [False]
    assert refused(quotas, 5.0).retry_after == 61
    assert not passes(quotas, 65.9)
    assert [passes(quotas, 66.0) for _ in range(61)] == [True] * 60 + [False]


@pytest.mark.parametrize(
    ("quota", "told", "retry_after"),
    [
        pytest.param({"requests_per_minute": 2}, "2 requests per minute", 61, id="minute"),
        pytest.param({"requests_per_hour": 2}, "2 requests per hour", 3660, id="hour"),
        pytest.param(
            {"requests_per_minute": 2, "requests_per_hour": 2},
            "2 requests per hour",
            3660,
            id="both-and-the-longer-wait-is-told",
        ),
    ],
)
def test_a_refusal_says_which_quota_and_when_to_come_again(quota, told, retry_after):
    quotas = book(**quota)
    assert passes(quotas, 3600.0)
    assert passes(quotas, 3600.0)
    refusal = refused(quotas, 3600.0)
    assert (refusal.answer.status, refusal.answer.code) == (429, "quota")
    assert told in refusal.answer.detail
    assert refusal.retry_after == retry_after


def test_the_minute_is_told_when_it_is_the_longer_wait():
    quotas = book(requests_per_minute=1, requests_per_hour=2)
    assert passes(quotas, 0.0)
    assert passes(quotas, HOUR_S)
    assert "per minute" in refused(quotas, HOUR_S + 59.9).answer.detail


def test_refused_requests_use_nothing_up():
    quotas = book(requests_per_minute=1)
    assert passes(quotas, 0.0)
    for second in range(61):
        assert not passes(quotas, float(second))
    assert passes(quotas, 61.0)


def test_running_requests_are_counted_until_they_end():
    quotas = book(concurrent_requests=2)
    first = quotas.take(CALLER, 0.0)
    second = quotas.take(CALLER, 0.0)
    assert isinstance(first, Usage)
    assert first is second
    refusal = refused(quotas, 100.0)
    assert "2 concurrent requests" in refusal.answer.detail
    assert refusal.retry_after == 1
    first.end()
    assert passes(quotas, 100.0)


def test_a_refusal_for_concurrency_uses_no_rate_up():
    quotas = book(concurrent_requests=1, requests_per_minute=2)
    running = quotas.take(CALLER, 0.0)
    assert isinstance(running, Usage)
    assert not passes(quotas, 0.0)
    running.end()
    assert passes(quotas, 0.0)


def test_callers_do_not_share():
    quotas = book(requests_per_minute=1)
    assert passes(quotas, 0.0, "a")
    assert not passes(quotas, 0.0, "a")
    assert passes(quotas, 0.0, "b")


def test_a_changed_quota_counts_what_was_used_before():
    quotas = book(requests_per_minute=5)
    assert all(passes(quotas, 0.0) for _ in range(5))
    quotas.quota = Quota(requests_per_minute=6)
    assert [passes(quotas, 0.0) for _ in range(2)] == [True, False]
    quotas.quota = Quota(requests_per_minute=2)
    assert refused(quotas, 30.0).retry_after == 31
    quotas.quota = Quota(concurrent_requests=1)
    assert passes(quotas, 30.0)


def test_after_a_lower_quota_enough_of_the_oldest_must_leave():
    quotas = book(requests_per_minute=6)
    assert all(passes(quotas, at) for at in (0.0, 10.0, 10.0, 20.0, 30.0))
    quotas.quota = Quota(requests_per_minute=2)
    assert refused(quotas, 30.0).retry_after == 51  # the fourth leaves at 81


def test_a_clock_that_steps_back_loses_no_count():
    window = Window(MINUTE_S)
    window.add(100.0)
    window.add(50.0)
    window.advance(159.0)
    assert window.total == 2


@given(gaps=st.lists(st.floats(0, 300), max_size=300))
def test_a_window_keeps_at_most_61_slots(gaps):
    window = Window(MINUTE_S)
    now_s = 0.0
    for gap in gaps:
        now_s += gap / 300
        window.advance(now_s)
        window.add(now_s)
        assert len(window._slots) <= SLOTS + 1
        assert sum(count for _, count in window._slots) == window.total


def test_callers_who_have_not_asked_for_long_are_forgotten():
    quotas = book(requests_per_minute=5)
    for number in range(10_000):
        assert passes(quotas, number * 1.0, f"caller {number}")
        assert len(quotas.usages) <= 2 * 64
    assert "caller 9999" in quotas.usages


@pytest.mark.parametrize(
    "quota", [{"requests_per_minute": 9}, {"requests_per_hour": 9}, {"concurrent_requests": 9}]
)
def test_nobody_is_forgotten_too_early(quota):
    quotas = book(**quota)
    running = Counter[str]()
    for number in range(500):
        caller = f"caller {number}"
        assert isinstance(quotas.take(caller, 100.0), Usage)
        running[caller] += 1
    assert {caller: usage.live for caller, usage in quotas.usages.items()} == running


# ---- several workers


def tell(teller: QuotaBook, *hearers: QuotaBook, now_s: float = 0.0) -> None:
    """One worker tells others its news."""
    news = teller.tell()
    for hearer in hearers:
        hearer.hear(f"worker {id(teller)}", news, now_s)


@given(
    sends=st.lists(st.integers(0, 2), max_size=60),
    gaps=st.lists(st.floats(0, 10), min_size=60, max_size=60),
    limit=st.integers(1, 10),
)
def test_workers_that_tell_at_once_are_as_exact_as_one(sends, gaps, limit):
    workers = [book(requests_per_minute=limit) for _ in range(3)]
    alone = book(requests_per_minute=limit)
    now_s = 1000.0
    for sender, gap in zip(sends, gaps, strict=False):
        now_s += gap
        assert passes(workers[sender], now_s) == passes(alone, now_s)
        for worker in workers:
            tell(worker, *(other for other in workers if other is not worker), now_s=now_s)


@given(sends=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60))
def test_late_news_never_refuse_a_caller_who_used_less_than_the_quota(sends):
    workers = [book(requests_per_minute=10) for _ in range(3)]
    sent = 0
    for sender, told in sends:
        through = passes(workers[sender], 0.0)
        assert through or sent >= 10
        sent += through
        if told:
            others = (other for other in workers if other is not workers[sender])
            tell(workers[sender], *others)
    assert sent <= 3 * 10


def test_running_requests_of_other_workers_count():
    here, there = book(concurrent_requests=2), book(concurrent_requests=2)
    one, two = here.take(CALLER, 0.0), there.take(CALLER, 0.0)
    assert isinstance(one, Usage)
    assert isinstance(two, Usage)
    tell(here, there)
    tell(there, here)
    assert "2 concurrent requests" in refused(here, 0.0).answer.detail
    assert not passes(there, 0.0)
    two.end()
    tell(there, here)
    assert passes(here, 0.0)


def test_only_what_is_new_is_told():
    calls: list[None] = []
    quotas = QuotaBook(Quota(requests_per_minute=9), on_news=lambda: calls.append(None))
    first = quotas.take("a", 0.0)
    assert isinstance(first, Usage)
    quotas.take("a", 0.0)
    quotas.take("b", 0.0)
    assert len(calls) == 1, "one call until the news are fetched"
    assert quotas.tell() == {"a": (2, 2), "b": (1, 1)}
    assert quotas.tell() == {}
    first.end()
    assert len(calls) == 2
    assert quotas.tell() == {"a": (0, 1)}


def test_what_others_may_have_missed_is_told_again():
    here, late = book(concurrent_requests=1), book(concurrent_requests=1)
    assert isinstance(here.take("running", 0.0), Usage)
    assert passes(here, 0.0, "ended")
    tell(here)
    here.remind()
    tell(here, late)
    tell(here, late)
    assert not passes(late, 0.0, "running")
    assert passes(late, 0.0, "ended")


def test_a_worker_that_is_gone_takes_its_running_requests_along_and_no_more():
    here, there = book(concurrent_requests=1), book(concurrent_requests=1, requests_per_hour=2)
    assert isinstance(here.take(CALLER, 0.0), Usage)
    tell(here, there)
    assert not passes(there, 0.0)
    there.forget(0.0)
    assert not passes(there, 0.0), "heard of just now"
    there.forget(0.1)
    there.forget(0.1)
    assert passes(there, 0.0)
    assert "per hour" in refused(there, 0.0).answer.detail


def test_a_lost_last_word_is_made_good_though_the_worker_is_heard_of_others():
    here, there = book(concurrent_requests=1), book(concurrent_requests=1)
    usage = here.take(CALLER, 0.0)
    assert isinstance(usage, Usage)
    assert isinstance(here.take("other", 0.0), Usage)
    tell(here, there)
    usage.end()
    tell(here)  # nobody hears that it ended
    here.remind()
    tell(here, there, now_s=5.0)
    there.forget(4.0)
    assert passes(there, 5.0)
    assert not passes(there, 5.0, "other"), "what was said again holds"


def test_a_caller_with_requests_elsewhere_is_not_forgotten():
    here, there = book(concurrent_requests=1), book(concurrent_requests=1)
    assert isinstance(here.take(CALLER, 0.0), Usage)
    tell(here, there)
    for number in range(1000):
        assert passes(there, 0.0, f"caller {number}")
    assert not passes(there, 0.0)
    assert len(there.usages) < 200
