"""Points in time as people type them: `15m`, or an ISO time."""

import re
from datetime import datetime, timedelta
from typing import Final

from controlplane.cli.errors import CliError, ExitCode

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")


def parse_since(text: str, *, now: datetime) -> datetime:
    """The time that a text means.

    Args:
        text: `90s`, `15m`, `2h` or `3d` before now, or an ISO time; without a zone it is local.
        now: With a zone.

    Raises:
        CliError: It is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        at = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as exc:
        raise CliError(
            f"{text!r} is no time",
            hint="Write 90s, 15m, 2h or 3d, or a time such as 2026-01-31T14:00.",
            code=ExitCode.USAGE,
        ) from exc
    return at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)
