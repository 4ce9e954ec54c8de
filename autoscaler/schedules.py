"""The bounds that hold by schedule now, and what is said of them, as decisions ask for them.

Looking at zones and calendars (`controlplane.model.schedules`) costs some 100 us, so the answer is
kept until it changes.
"""

from collections.abc import Container
from datetime import datetime
from operator import itemgetter
from zoneinfo import ZoneInfo

import msgspec

from autoscaler.core.schedules import Scheduled
from controlplane.model.behavior import Schedule
from controlplane.model.schedules import Span, bounds_at, spans_of


class Calendar:
    """Keeps what was found out about schedules for as long as it holds."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._pages: dict[str, _Page] = {}

    def scheduled(
        self,
        proton_id: str,
        schedules: tuple[Schedule, ...],
        *,
        low: int,
        high: int,
        at: float,
        lead_s: float,
    ) -> Scheduled:
        """The bounds of one proton now.

        Args:
            proton_id: Whose.
            schedules: Not empty.
            low: The group's own minimum.
            high: The group's own maximum.
            at: Epoch seconds.
            lead_s: How long a replica takes from start to ready.
        """
        asked = (schedules, low, high, lead_s)
        page = self._pages.get(proton_id)
        if page is None or page.asked != asked or not page.since <= at < page.until:
            page = self._pages[proton_id] = _page(asked, at)
        return page.found

    def retain(self, proton_ids: Container[str]) -> None:
        """Forget all protons but these."""
        for proton_id in [p for p in self._pages if p not in proton_ids]:
            del self._pages[proton_id]


_Asked = tuple[tuple[Schedule, ...], int, int, float]


class _Page(msgspec.Struct, frozen=True, gc=False):
    asked: _Asked
    found: Scheduled
    since: float
    until: float
    """Epoch seconds between which this holds."""


def _page(asked: _Asked, at: float) -> _Page:
    schedules, low, high, lead_s = asked
    spans = [span for schedule in schedules for span in spans_of(schedule, at=at)]
    now = bounds_at(spans, low=low, high=high, at=at, lead_s=lead_s)
    moments = [
        (moment, span)
        for span in spans
        for moment in (span.begin - lead_s, span.begin, span.end)
        if moment > at
    ]
    moments.sort(key=itemgetter(0))
    following = ""
    for moment, span in moments:
        then = bounds_at(spans, low=low, high=high, at=moment, lead_s=lead_s)
        if then != now:
            following = f"from {_told(span, moment)} between {then[0]} and {then[1]}"
            break
    by = [f"{s.schedule.label!r} until {_told(s, s.end)}" for s in spans if s.begin <= at < s.end]
    by += [
        f"{s.schedule.label!r} from {_told(s, s.begin)}, {lead_s:.0f} s early"
        for s in spans
        if s.begin - lead_s <= at < s.begin
    ]
    found = Scheduled(low=now[0], high=now[1], by=" and ".join(by), following=following)
    until = moments[0][0] if moments else float("inf")
    return _Page(asked, found, at, until)


def _told(span: Span, at: float) -> str:
    """A moment in the schedule's own time zone."""
    zone = ZoneInfo(span.schedule.timezone)
    return datetime.fromtimestamp(at, zone).isoformat(timespec="minutes")
