"""What a forecast that acts is made from in a simulation: hours and minutes of the trace so far.

Live, the hours come from the statistics in the store, and the minutes from the autoscaler's own
windows (`autoscaler.forecasts`); the forecast itself is the same code.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from autoscaler.core.forecast import HOUR_S, MINUTES, Expected, Outlook, Past
from autoscaler.core.observation import Scaling
from autoscaler.core.schedules import lead_of
from autoscaler.core.steps import LoadView

MARGIN_S: Final = 5.0
"""Added to the cold-start time, as `autoscaler.forecasts` has it."""

_KEPT_HOURS: Final = 8 * 24
_MINUTE_S: Final = 60.0


class Foresight:
    """One workload's past."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._hours: dict[int, float] = {}
        self._minutes: deque[float] = deque(maxlen=MINUTES)
        self._minute_at_s: float | None = None
        self._load_seconds = 0.0
        self._past: Past | None = None
        self._outlook = Outlook()

    def expected(
        self,
        scaling: Scaling,
        load: LoadView | None,
        *,
        load_seconds: float,
        start_ups_s: Sequence[float],
        at: float,
        now_s: float,
    ) -> Expected | None:
        """Take what was seen, and say what is expected; None: nothing.

        Args:
            scaling: What was asked for.
            load: Now.
            load_seconds: The load's integral since the beginning.
            start_ups_s: How long the last replicas took to be ready.
            at: Epoch seconds.
            now_s: The simulation's clock.
        """
        hour = int(at // HOUR_S)
        share = (load_seconds - self._load_seconds) / HOUR_S
        if hour not in self._hours:
            self._past = None
            for old in [h for h in self._hours if h < hour - _KEPT_HOURS]:
                del self._hours[old]
        self._hours[hour] = self._hours.get(hour, 0.0) + share
        self._load_seconds = load_seconds
        due = self._minute_at_s is None or now_s - self._minute_at_s >= _MINUTE_S
        if due and load is not None and load.coverage_ratio >= 1:
            self._minutes.append(load.mean_stable)
            self._minute_at_s, self._past = now_s, None
        if self._past is None:  # of the running hour nothing is expected: it may grow unseen
            since = min(self._hours)
            self._past = Past(hours=self._hours, since_hour=since, minutes=tuple(self._minutes))
        horizon_s = lead_of(start_ups_s, guess_s=scaling.settings.schedule_lead_s) + MARGIN_S
        return self._outlook.expected(
            self._past, scaling.load_targets(), at=at, horizon_s=horizon_s
        )
