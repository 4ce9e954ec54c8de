"""How a workload's count may move, and when its bounds are others: extensions of ours.

Absent from the public contract and optional everywhere. What a `Behavior` does not say is as the
platform has it: its fields are settings of `autoscaler` by the same names.
"""

import msgspec


class Behavior(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Damping of one workload. None: the platform's, `AutoscalerSettings` tells what each means."""

    max_scale_up_rate: float | None = None
    max_scale_down_rate: float | None = None
    max_scale_up_replicas: int | None = None
    max_scale_down_replicas: int | None = None
    scale_limit_period_s: float | None = None
    scale_up_delay_s: float | None = None
    scale_down_delay_s: float | None = None
    stabilization_window_s: float | None = None
    panic_window_ratio: float | None = None
    panic_threshold: float | None = None
    tolerance_ratio: float | None = None
    """Of all metrics; for CPU and scraped ones it takes the place of `cpu_tolerance_ratio`."""
    activation_scale: int | None = None
    min_run_time_s: float | None = None

    def said(self) -> dict[str, float]:
        """What is not None, by the setting's name."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in named if value is not None}


class Schedule(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Other bounds for a while, again and again; they replace the group's own meanwhile.

    Where several hold at once, the highest minimum and the highest maximum win.
    """

    cron: str
    """When it begins: five fields (minute, hour, day of month, month, day of week)."""
    timezone: str = "UTC"
    """IANA name. At a change of the clocks it is as with Debian's cron: what falls into the hour
    that is left out begins right after it, and what falls into the doubled hour begins once."""
    duration_s: float
    """How long it holds, in elapsed seconds."""
    min_replicas: int | None = None
    """None: the group's own."""
    max_replicas: int | None = None
    """None: the group's own, or `min_replicas` where that is more."""
    name: str | None = None
    """What decisions call it; None: its cron expression."""

    @property
    def label(self) -> str:
        """What decisions call it."""
        return self.name or f"{self.cron} {self.timezone}"
