"""Who goes next when more wait than there are free slots: callers take turns.

Every caller's requests wait in a lane of their own, first come, first served. A free slot goes to
the next caller in the round, not to the oldest request: a thousand requests of one caller delay
another's only one by at most one turn of each caller.

A full room refuses in the same spirit. A newcomer gets in if somebody else has at least two more
waiting than the newcomer's caller has: the newest request of the caller with the most makes room.
So the shares can only become more equal, and no one alone can fill the room. Without such a caller
the newcomer is refused.

All operations cost the same for any number of requests and callers.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

E = TypeVar("E", bound=Hashable)
"""An endpoint."""
T = TypeVar("T", bound=Hashable)
"""What waits: a request."""


class FairQueue(Generic[T]):
    """Lanes that take turns. It does not know how long they may be."""

    __slots__ = ("_lanes", "size")

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        """By caller, in the order of their turns; none is empty."""
        self.size = 0

    def push(self, caller: str, item: T) -> None:
        """At the end of the caller's lane; who had none waiting comes last in the round."""
        lane = self._lanes.get(caller)
        if lane is None:
            lane = self._lanes[caller] = OrderedDict()
        lane[item] = None
        self.size += 1

    def push_front(self, caller: str, item: T) -> None:
        """Before everybody: it has had its turn before."""
        self.push(caller, item)
        self._lanes[caller].move_to_end(item, last=False)
        self._lanes.move_to_end(caller, last=False)

    def pop(self) -> tuple[str, T]:
        """The next caller and their oldest; the caller then comes last in the round.

        Raises:
            KeyError: Nobody waits.
        """
        caller, lane = self._lanes.popitem(last=False)
        item, _ = lane.popitem(last=False)
        if lane:
            self._lanes[caller] = lane
        self.size -= 1
        return caller, item

    def remove(self, caller: str, item: T) -> None:
        """Take one out before its turn.

        Raises:
            KeyError: It does not wait here.
        """
        lane = self._lanes[caller]
        del lane[item]
        if not lane:
            del self._lanes[caller]
        self.size -= 1


class _Place(NamedTuple, Generic[T]):
    """Where one waits, and what it costs."""

    queue: FairQueue[T]
    held_bytes: int


class WaitingRoom(Generic[T, E]):
    """All requests that wait for one proton: for any of its endpoints, or each for a certain one.

    Where both kinds wait, they take turns: sessions cannot starve the others, nor the reverse.
    """

    __slots__ = ("_bound", "_bound_first", "_by_count", "_callers", "_most", "anyone", "size")

    def __init__(self) -> None:
        self.anyone: FairQueue[T] = FairQueue()
        """Those that take any endpoint."""
        self._bound: dict[E, FairQueue[T]] = {}
        self._bound_first = False
        self._callers: dict[str, OrderedDict[T, _Place[T]]] = {}
        """All that wait, by caller, oldest first."""
        self._by_count: dict[int, dict[str, None]] = {}
        """Callers by how many requests of theirs wait."""
        self._most = 0
        self.size = 0

    def __iter__(self) -> Iterator[T]:
        """All that wait, caller by caller."""
        for places in self._callers.values():
            yield from places

    def enter(
        self, caller: str, item: T, *, endpoint: E | None = None, held_bytes: int = 0
    ) -> None:
        """Wait behind the caller's others.

        Args:
            caller: Whose request it is.
            item: The request; it must not wait already.
            endpoint: The only one that will do; None: any.
            held_bytes: What it keeps in memory; `leave` and `take` give it back.
        """
        queue = self._queue(endpoint)
        queue.push(caller, item)
        self._note(caller, item, _Place(queue, held_bytes))

    def enter_front(
        self, caller: str, item: T, *, endpoint: E | None = None, held_bytes: int = 0
    ) -> None:
        """Wait again after a safe loss, before everybody."""
        queue = self._queue(endpoint)
        queue.push_front(caller, item)
        self._note(caller, item, _Place(queue, held_bytes))
        self._callers[caller].move_to_end(item, last=False)

    def leave(self, caller: str, item: T) -> int:
        """Wait no more, in whatever place. O(1).

        Returns:
            The bytes that it held; 0 when it did not wait.
        """
        places = self._callers.get(caller)
        place = None if places is None else places.get(item)
        if place is None:
            return 0
        place.queue.remove(caller, item)
        return self._forget(caller, item)

    def take(self) -> tuple[T, int]:
        """The next of those that take any endpoint, and the bytes that it held.

        Raises:
            KeyError: There is none.
        """
        caller, item = self.anyone.pop()
        return item, self._forget(caller, item)

    def take_for(self, endpoint: E) -> tuple[T, int]:
        """The next of those that wait for this endpoint, and the bytes that it held.

        Raises:
            KeyError: There is none.
        """
        queue = self._bound[endpoint]
        caller, item = queue.pop()
        return item, self._forget(caller, item)

    def wanted(self) -> list[E]:
        """Endpoints that somebody waits for."""
        if not self._bound:
            return []
        for endpoint in [e for e, queue in self._bound.items() if not queue.size]:
            del self._bound[endpoint]
        return list(self._bound)

    def waits_for(self, endpoint: E) -> bool:
        """Whether somebody waits for this very endpoint."""
        queue = self._bound.get(endpoint)
        return queue is not None and queue.size > 0

    def unbind(self, endpoint: E) -> None:
        """The endpoint is gone: those who waited for it take any, in their order."""
        queue = self._bound.pop(endpoint, None)
        while queue is not None and queue.size:
            caller, item = queue.pop()
            self.anyone.push(caller, item)
            places = self._callers[caller]
            places[item] = _Place(self.anyone, places[item].held_bytes)

    def bound_first(self) -> bool:
        """Whose turn it is: true and false alternate."""
        self._bound_first = not self._bound_first
        return self._bound_first

    def rival(self, caller: str) -> T | None:
        """Who must give way so that the caller gets a place in a full room.

        Returns:
            The newest request of the caller with the most; None when nobody has at least two more
            waiting than this caller.
        """
        own = len(self._callers.get(caller, ()))
        if own + 1 >= self._most:
            return None
        heaviest = next(iter(self._by_count[self._most]))
        return next(reversed(self._callers[heaviest]))

    def _queue(self, endpoint: E | None) -> FairQueue[T]:
        if endpoint is None:
            return self.anyone
        queue = self._bound.get(endpoint)
        if queue is None:
            queue = self._bound[endpoint] = FairQueue()
        return queue

    def _note(self, caller: str, item: T, place: _Place[T]) -> None:
        places = self._callers.get(caller)
        if places is None:
            places = self._callers[caller] = OrderedDict()
        places[item] = place
        self.size += 1
        self._recount(caller, len(places) - 1, len(places))

    def _forget(self, caller: str, item: T) -> int:
        places = self._callers[caller]
        place = places.pop(item)
        self.size -= 1
        self._recount(caller, len(places) + 1, len(places))
        if not places:
            del self._callers[caller]
        return place.held_bytes

    def _recount(self, caller: str, before: int, after: int) -> None:
        if before:
            same = self._by_count[before]
            del same[caller]
            if not same:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[caller] = None
        if after > self._most or (before == self._most and before not in self._by_count):
            self._most = after
