"""What is taken out of the statistics is out of every bucket that it was in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle.resets import Part, without
from controlplane.model.statistics import (
    LENGTH_S,
    SUMMARY,
    Bucket,
    Level,
    bucket_of_field,
    decode_bucket,
    decode_summary,
)
from tests.unit.controlplane.lifecycle.test_counting import NOW_S, Hash, load, news

HOUR_S = 3600.0
DAY_S = 86_400.0


def filled(*requests: tuple[float, str]) -> Hash:
    """A workload that had one slow request at each moment, of each proton."""
    stored = Hash()
    for number, (at, proton) in enumerate(sorted(requests)):
        of = load(
            1,
            finished={"5xx": 1},
            load_seconds=0.1,
            response_time={700: 1},
            response_seconds=0.1,
        )
        stored.absorb(news(of, clock_s=1, at=at, proton=proton, worker=f"w{number}"), now_s=at)
    return stored


def reset(stored: Hash, now_s: float = NOW_S, **part: object) -> None:
    changes = without(stored.fields, Part(**part), now_s=now_s)
    assert not changes.drops & changes.sets.keys()
    stored.fields |= changes.sets
    for name in changes.drops:
        del stored.fields[name]


def buckets(stored: Hash) -> list[str]:
    return [name for name in stored.fields if bucket_of_field(name) is not None]


def test_everything_goes():
    stored = filled((NOW_S, "p"), (NOW_S - 100, "q"), (NOW_S - DAY_S, "p"))
    reset(stored)
    assert buckets(stored) == []
    summary = stored.summary
    assert (summary.hours, summary.days, summary.protons) == ({}, {}, ())
    assert (summary.last_request_at, summary.last_response_at) == (None, None)


def test_what_was_seen_stays_so_that_nothing_counts_again():
    stored = filled((NOW_S, "p"))
    reset(stored)
    again = news(load(1, finished={"5xx": 1}), clock_s=1, worker="w0")
    stored.absorb(again)
    assert stored.total(Level.DAY) == Bucket()


def test_one_proton_goes_and_the_others_stay():
    stored = filled((NOW_S, "p"), (NOW_S, "q"))
    reset(stored, proton_id="p")
    assert stored.summary.protons == ("q",)
    assert {bucket_of_field(name)[2] for name in buckets(stored)} == {"q"}
    assert stored.summary.days[20_000].started == 1
    assert stored.summary.last_request_at == NOW_S


def test_minutes_are_taken_out_of_their_hours_and_days():
    stored = filled((NOW_S, "p"), (NOW_S - 120, "p"), (NOW_S - 240, "p"))
    reset(stored, start_s=NOW_S - 130, end_s=NOW_S - 100)
    for level in Level:
        assert stored.total(level).started == 2
        assert stored.total(level).response_time == {700: 2}
    assert stored.summary.days[20_000].started == 2
    assert sum(tally.started for tally in stored.summary.hours.values()) == 2


def test_a_minute_goes_when_a_part_of_it_is_meant():
    minute_s = NOW_S // 60 * 60
    stored = filled((minute_s - 1, "p"), (minute_s + 30, "p"), (minute_s + 60, "p"))
    reset(stored, now_s=minute_s + 120, start_s=minute_s + 59, end_s=minute_s + 60)
    assert stored.total(Level.MINUTE).started == 2


def without_short(stored: Hash, *levels: Level) -> Hash:
    """As if these buckets had outlived their time."""
    stored.fields = {
        name: value
        for name, value in stored.fields.items()
        if (place := bucket_of_field(name)) is None or place[0] not in levels
    }
    return stored


@pytest.mark.parametrize(
    ("start_s", "end_s", "left"),
    [
        pytest.param(-2 * HOUR_S, 2 * HOUR_S, 0, id="the-whole-hour"),
        pytest.param(-HOUR_S, 0, 1, id="a-part-of-it"),
        pytest.param(HOUR_S, 2 * HOUR_S, 1, id="another-hour"),
    ],
)
def test_an_hour_without_minutes_goes_when_all_of_it_is_meant(start_s, end_s, left):
    at = NOW_S - 10 * HOUR_S
    stored = without_short(filled((at, "p")), Level.MINUTE)
    reset(stored, start_s=at + start_s, end_s=at + end_s)
    assert stored.total(Level.HOUR).started == left
    assert stored.total(Level.DAY).started == left


def test_a_day_without_hours_goes_when_all_of_it_is_meant():
    at = NOW_S - 10 * DAY_S
    stored = without_short(filled((at, "p")), Level.MINUTE, Level.HOUR)
    reset(stored, start_s=at - 1, end_s=at + DAY_S)
    assert stored.total(Level.DAY).started == 1
    reset(stored, start_s=at - DAY_S, end_s=at + DAY_S)
    assert stored.total(Level.DAY).started == 0


def test_longer_buckets_that_are_gone_already_are_nothing_to_take_from():
    stored = without_short(filled((NOW_S, "p")), Level.HOUR)
    reset(stored, start_s=NOW_S - 60)
    assert buckets(stored) == []


@pytest.mark.parametrize("end_s", [None, NOW_S, NOW_S + 10 * DAY_S])
def test_up_to_now_takes_the_running_hour_and_day_too(end_s):
    stored = without_short(filled((NOW_S - 20, "p")), Level.MINUTE)
    reset(stored, start_s=NOW_S // DAY_S * DAY_S, end_s=end_s)
    assert buckets(stored) == []


@pytest.mark.parametrize(
    ("numbers", "left"),
    [
        pytest.param(("started",), {"started": 0, "server_errors": 1}, id="requests"),
        pytest.param(("server_errors",), {"started": 1, "server_errors": 0}, id="errors"),
        pytest.param(("response_time",), {"started": 1, "response_time": {}}, id="responses"),
        pytest.param(("load_seconds",), {"started": 1, "load_seconds": 0.0}, id="load"),
    ],
)
def test_some_numbers_go_and_the_others_stay(numbers, left):
    stored = filled((NOW_S, "p"))
    reset(stored, numbers=numbers)
    for level in Level:
        bucket = stored.total(level)
        assert {name: getattr(bucket, name) for name in left} == left
    assert stored.summary.days[20_000].started == left["started"]


def test_nothing_stored_is_nothing_to_take():
    changes = without({}, Part(), now_s=NOW_S)
    assert set(changes.sets) == {SUMMARY}
    assert decode_summary(changes.sets[SUMMARY]).protons == ()


@given(
    ages=st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=12),
    begin=st.integers(0, 3 * 3600),
    length=st.integers(1, 3600),
)
def test_the_lengths_agree_after_any_reset(ages, begin, length):
    stored = filled(*((NOW_S - age, "p") for age in ages))
    reset(stored, start_s=NOW_S - begin, end_s=NOW_S - begin + length)
    totals = [stored.total(level) for level in Level]
    assert len({total.started for total in totals}) == 1
    assert len({tuple(total.response_time.items()) for total in totals}) == 1
    kept = [
        age
        for age in ages
        if not (
            (NOW_S - age) // 60 * 60 < NOW_S - begin + length
            and (NOW_S - age) // 60 * 60 + 60 > NOW_S - begin
        )
    ]
    if begin - length > 0:  # else it is up to now, and the running buckets go as a whole
        assert totals[0].started == len(kept)


def test_lengths_are_known_for_all_levels():
    assert list(LENGTH_S) == list(Level)
    assert decode_bucket(None) == Bucket()
