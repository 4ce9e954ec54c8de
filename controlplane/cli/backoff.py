"""How long to wait before a process that died is started again. Pure."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY_S: Final = 0.2
MAX_DELAY_S: Final = 15.0
STEADY_AFTER_S: Final = 10.0
"""A process that ran this long was healthy: its next death starts from the first delay again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartState:
    """What is remembered of one process between its deaths."""

    quick_deaths: int = 0
    """Deaths in a row, each within `STEADY_AFTER_S` of its start."""


def next_restart(state: RestartState, *, ran_s: float) -> tuple[float, RestartState]:
    """Delay before the next start, and the new state.

    Args:
        state: From the previous death, or a fresh one.
        ran_s: How long the process ran; 0 when it could not even be started.

    Returns:
        `FIRST_DELAY_S`, doubled with every further quick death, at most `MAX_DELAY_S`.
    """
    quick = 0 if ran_s >= STEADY_AFTER_S else state.quick_deaths
    # 2**20 is far beyond the bound: the exponent is held so that it cannot grow for ever.
    delay = min(FIRST_DELAY_S * 2 ** min(quick, 20), MAX_DELAY_S)
    return delay, RestartState(quick_deaths=quick + 1)
