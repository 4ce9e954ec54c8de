"""Buckets add up and come apart; the store's fields name what they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.statistics import (
    KEPT_S,
    LENGTH_S,
    NO_SUMMARY,
    NOTHING,
    Bucket,
    Level,
    Seen,
    Summary,
    Tally,
    bucket_field,
    bucket_of_field,
    decode_bucket,
    decode_seen,
    decode_summary,
    encode,
    load_seconds_of,
    seen_field,
    worker_of_field,
)

COUNTS = st.integers(0, 10**9)
SECONDS = st.integers(0, 10**6).map(float)
BUCKETS = st.builds(
    Bucket,
    started=COUNTS,
    ended=COUNTS,
    user_errors=COUNTS,
    server_errors=COUNTS,
    refused=COUNTS,
    aborted=COUNTS,
    cold_starts=COUNTS,
    load_seconds=SECONDS,
    response_seconds=SECONDS,
    response_time=st.dictionaries(st.integers(0, 1100), st.integers(1, 10**6), max_size=20),
)


@given(BUCKETS, BUCKETS)
def test_what_was_added_can_be_taken_away(one, other):
    assert one + other == other + one
    assert one + other - other == one
    assert one - one == NOTHING
    assert one + NOTHING == one


@given(BUCKETS, BUCKETS)
def test_nothing_is_ever_below_zero(one, other):
    less = one - other
    numbers = [getattr(less, name) for name in Bucket.__struct_fields__[:-1]]
    assert min(numbers) >= 0
    assert all(count > 0 for count in less.response_time.values())


@given(BUCKETS, BUCKETS)
def test_tallies_add_up_as_their_buckets_do(one, other):
    assert Tally.of(one) + Tally.of(other) == Tally.of(one + other)


@given(BUCKETS)
def test_what_is_stored_is_read_back(bucket):
    seen = Seen(clock_s=1.5, sent_at=2.5, counters=bucket, under_way=3)
    summary = Summary(since=1.0, protons=("p",), workers={"w": 2.0}, days={3: Tally.of(bucket)})
    assert decode_bucket(encode(bucket)) == bucket
    assert load_seconds_of(encode(bucket)) == bucket.load_seconds
    assert decode_seen(encode(seen)) == seen
    assert decode_summary(encode(summary)) == summary


def test_where_nothing_is_stored_there_was_nothing():
    assert decode_bucket(None) == NOTHING
    assert decode_seen(None) is None
    assert decode_summary(None) == NO_SUMMARY


@pytest.mark.parametrize("level", list(Level))
def test_a_buckets_field_says_what_it_is(level):
    name = bucket_field(level, 29_384_756, "a" * 24)
    assert bucket_of_field(name) == (level, 29_384_756, "a" * 24)
    assert worker_of_field(name) is None


@pytest.mark.parametrize("worker", ["1f3c", "host:8080:3", "m5"])
def test_a_workers_field_says_whose_it_is(worker):
    name = seen_field(worker, "a" * 24)
    assert worker_of_field(name) == worker
    assert bucket_of_field(name) is None


@pytest.mark.parametrize("name", ["v", "s", "w", "mnoon:p"])
def test_other_fields_are_of_no_bucket_and_no_worker(name):
    assert bucket_of_field(name) is None
    assert worker_of_field(name) is None


def test_a_protons_buckets_are_bounded():
    assert sum(KEPT_S[level] // LENGTH_S[level] for level in Level) == 403
