"""Callers take turns, whatever the order in which requests come, leave, and come back."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.fairness import FairQueue, WaitingRoom

CALLERS = st.sampled_from(["ann", "bob", "cy", "dee"])


def room_of(*callers: str) -> WaitingRoom[str, str]:
    """A room in which these wait, numbered in order: `ann-0`, `bob-1`, ..."""
    room: WaitingRoom[str, str] = WaitingRoom()
    for number, caller in enumerate(callers):
        room.enter(caller, f"{caller}-{number}")
    return room


def taken(room: WaitingRoom[str, str]) -> list[str]:
    """Everybody, in the order of their turns."""
    return [room.take()[0] for _ in range(room.anyone.size)]


def test_a_thousand_requests_of_one_caller_delay_anothers_by_one_turn():
    room = room_of(*["ann"] * 1000, "bob")
    assert room.take()[0] == "ann-0"
    assert room.take()[0] == "bob-1000"


def test_callers_take_turns_and_each_callers_are_first_come_first_served():
    room = room_of("ann", "ann", "ann", "bob", "cy", "bob")
    assert taken(room) == ["ann-0", "bob-3", "cy-4", "ann-1", "bob-5", "ann-2"]


def test_one_caller_alone_is_first_come_first_served():
    assert taken(room_of("ann", "ann", "ann")) == ["ann-0", "ann-1", "ann-2"]


def test_who_comes_back_to_the_queue_joins_at_the_end_of_the_round():
    room = room_of("ann", "bob", "cy")
    assert room.take()[0] == "ann-0"
    room.enter("ann", "again")
    assert taken(room) == ["bob-1", "cy-2", "again"]


def test_a_repeat_comes_before_everybody():
    room = room_of("ann", "bob", "ann")
    room.enter_front("ann", "repeat")
    room.enter_front("dee", "repeat of dee")
    assert taken(room) == ["repeat of dee", "repeat", "bob-1", "ann-0", "ann-2"]


def test_who_leaves_early_leaves_no_trace():
    room = room_of("ann", "bob", "ann")
    assert room.leave("bob", "bob-1") == 0
    assert room.leave("bob", "bob-1") == 0
    assert room.leave("ann", "never-came") == 0
    assert (list(room), room.size) == (["ann-0", "ann-2"], 2)
    assert taken(room) == ["ann-0", "ann-2"]


def test_memory_is_given_back_on_every_way_out():
    room: WaitingRoom[str, str] = WaitingRoom()
    room.enter("ann", "a", held_bytes=1)
    room.enter("ann", "b", held_bytes=2)
    room.enter("ann", "c", endpoint="e", held_bytes=4)
    room.enter_front("ann", "d", held_bytes=8)
    assert room.leave("ann", "b") == 2
    assert room.take() == ("d", 8)
    assert room.take() == ("a", 1)
    assert room.take_for("e") == ("c", 4)


@pytest.mark.parametrize("queue", [FairQueue[str]().pop, WaitingRoom[str, str]().take])
def test_nobody_can_be_taken_from_an_empty_queue(queue):
    with pytest.raises(KeyError):
        queue()


# ---- sessions


def test_those_who_wait_for_an_endpoint_are_taken_for_it_only():
    room = room_of("ann")
    room.enter("bob", "b", endpoint="e1")
    room.enter("bob", "b2", endpoint="e1")
    room.enter("cy", "c", endpoint="e1")
    room.enter("ann", "a", endpoint="e2")
    assert room.wanted() == ["e1", "e2"]
    assert [room.take_for("e1")[0] for _ in range(3)] == ["b", "c", "b2"]
    assert not room.waits_for("e1")
    assert room.waits_for("e2")
    assert room.wanted() == ["e2"]
    assert taken(room) == ["ann-0"]
    assert room.size == 1


def test_when_an_endpoint_goes_those_who_waited_for_it_take_any():
    room = room_of("ann")
    room.enter("ann", "a", endpoint="e", held_bytes=3)
    room.enter("bob", "b", endpoint="e", held_bytes=4)
    room.unbind("e")
    room.unbind("e")
    assert room.wanted() == []
    assert not room.waits_for("e")
    assert room.leave("bob", "b") == 4
    assert [room.take() for _ in range(2)] == [("ann-0", 0), ("a", 3)]


def test_sessions_and_others_take_turns():
    room = room_of()
    assert [room.bound_first() for _ in range(4)] == [True, False, True, False]


# ---- a full room


@pytest.mark.parametrize(
    ("waiting", "caller", "rival"),
    [
        pytest.param("ann ann ann", "bob", "ann-2", id="the-newest-of-the-heaviest-makes-room"),
        pytest.param("ann ann bob bob bob", "cy", "bob-4", id="the-heaviest-of-several"),
        pytest.param("ann ann ann", "ann", None, id="nobody-displaces-ones-own"),
        pytest.param("ann bob cy", "dee", None, id="equal-shares-stay"),
        pytest.param("ann ann bob", "bob", None, id="one-more-is-not-enough"),
        pytest.param("ann ann ann bob", "bob", "ann-2", id="two-more-are"),
        pytest.param("", "ann", None, id="an-empty-room"),
    ],
)
def test_who_makes_room_for_a_newcomer(waiting, caller, rival):
    assert room_of(*waiting.split()).rival(caller) == rival


def test_a_repeat_is_the_oldest_of_its_caller_and_displaced_last():
    room = room_of("ann", "ann")
    room.enter_front("ann", "repeat")
    assert room.rival("bob") == "ann-1"


def test_waiting_for_an_endpoint_counts_for_the_share():
    room = room_of("ann")
    room.enter("ann", "a", endpoint="e")
    assert room.rival("bob") == "a"


@given(arrivals=st.lists(CALLERS, max_size=60), places=st.integers(1, 12))
def test_nobody_alone_can_keep_others_out_of_a_full_room(arrivals, places):
    room: WaitingRoom[int, str] = WaitingRoom()
    waiting: dict[int, str] = {}
    for number, caller in enumerate(arrivals):
        if room.size >= places:
            rival = room.rival(caller)
            if rival is None:
                continue
            room.leave(waiting.pop(rival), rival)
        room.enter(caller, number)
        waiting[number] = caller
    assert room.size <= places
    shares = Counter(waiting.values())
    for caller, asked in Counter(arrivals).items():
        fair = places // len(set(arrivals))
        assert shares[caller] >= min(asked, fair)


# ---- anything in any order


class Waiting(RuleBasedStateMachine):
    """The room against a plain list that is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.room: WaitingRoom[int, str] = WaitingRoom()
        self.lanes: dict[str | None, list[tuple[str, list[int]]]] = {None: [], "e1": [], "e2": []}
        self.held: dict[int, tuple[str, str | None, int]] = {}
        self.number = 0

    def lane(self, caller, endpoint, *, front=False):
        lanes = self.lanes[endpoint]
        found = next((lane for lane in lanes if lane[0] == caller), None)
        if found is None:
            found = (caller, [])
            lanes.append(found)
        if front:
            lanes.remove(found)
            lanes.insert(0, found)
        return found[1]

    def gone(self, item):
        caller, endpoint, held_bytes = self.held.pop(item)
        lane = self.lane(caller, endpoint)
        lane.remove(item)
        if not lane:
            self.lanes[endpoint].remove((caller, lane))
        return held_bytes

    @rule(
        caller=CALLERS,
        endpoint=st.sampled_from([None, "e1", "e2"]),
        held_bytes=st.integers(0, 9),
        front=st.booleans(),
    )
    def enter(self, caller, endpoint, held_bytes, front):
        self.number += 1
        enter = self.room.enter_front if front else self.room.enter
        enter(caller, self.number, endpoint=endpoint, held_bytes=held_bytes)
        lane = self.lane(caller, endpoint, front=front)
        lane.insert(0 if front else len(lane), self.number)
        self.held[self.number] = (caller, endpoint, held_bytes)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def leave(self, data):
        item = data.draw(st.sampled_from(sorted(self.held)))
        caller = self.held[item][0]
        assert self.room.leave(caller, item) == self.gone(item)

    @rule(endpoint=st.sampled_from([None, "e1", "e2"]))
    def take(self, endpoint):
        lanes = self.lanes[endpoint]
        assert self.room.waits_for(endpoint) == (bool(lanes) and endpoint is not None)
        if not lanes:
            return
        caller, lane = lanes[0]
        item = lane[0]
        found = self.room.take() if endpoint is None else self.room.take_for(endpoint)
        assert found == (item, self.gone(item))
        if lane:
            lanes.remove((caller, lane))
            lanes.append((caller, lane))

    @rule(endpoint=st.sampled_from(["e1", "e2"]))
    def unbind(self, endpoint):
        self.room.unbind(endpoint)
        lanes = self.lanes[endpoint]
        while lanes:
            caller, lane = lanes.pop(0)
            item = lane.pop(0)
            self.lane(caller, None).append(item)
            self.held[item] = (caller, None, self.held[item][2])
            if lane:
                lanes.append((caller, lane))

    @invariant()
    def everybody_is_there_once(self):
        assert sorted(self.room) == sorted(self.held)
        assert self.room.size == len(self.held)
        assert self.room.anyone.size == sum(len(lane) for _, lane in self.lanes[None])
        assert set(self.room.wanted()) == {e for e in ("e1", "e2") if self.lanes[e]}

    @invariant()
    def the_rival_is_one_of_the_heaviest(self):
        counts = Counter(caller for caller, _, _ in self.held.values())
        rival = self.room.rival("a newcomer")
        if max(counts.values(), default=0) < 2:
            assert rival is None
        else:
            assert rival is not None
            assert counts[self.held[rival][0]] == max(counts.values())


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
