"""What an answer says beyond its body: the gateway's error code, and whether it was held. Pure."""

import re
from collections.abc import Mapping

ERROR_HEADER = "X-Tidegate-Error"
_COLD = re.compile(r"(?:^|,)\s*cold\s*(?:;[^,]*?)?;\s*dur=([0-9.]+)", re.IGNORECASE)


def error_code(status: int, headers: Mapping[str, object]) -> str | None:
    """What to count an answer as.

    Returns:
        None for an answer below 400; the status with the gateway's own code, or with `service`
        where the application answered so itself.
    """
    if status < 400:
        return None
    return f"{status} {headers.get(ERROR_HEADER) or 'service'}"


def lost_code(error: BaseException) -> str:
    """What to count a request as that got no whole answer."""
    return f"no answer: {type(error).__name__}"


def cold_ms(headers: Mapping[str, object]) -> float | None:
    """How long the gateway held the request for a cold start, from `Server-Timing`; None: not."""
    match = _COLD.search(str(headers.get("Server-Timing") or ""))
    held = float(match[1]) if match else 0.0
    return held or None
