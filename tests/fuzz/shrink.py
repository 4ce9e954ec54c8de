"""Makes a failing input small, so that a person can read it."""

from collections.abc import Callable

_PATIENCE = 2000
"""Tries at most."""


def failure(check: Callable[[bytes], None], data: bytes) -> str | None:
    """Where and how an input fails; None when it does not."""
    try:
        check(data)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
        trace = exc.__traceback__
        place = ""
        while trace is not None:
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            trace = trace.tb_next
        return f"{type(exc).__name__} at {place}"
    return None


def shrink(check: Callable[[bytes], None], data: bytes) -> bytes:
    """The input without whatever its failure does not need.

    Args:
        check: Raises for a failing input.
        data: Fails; it is returned as it is when it does not, run alone.
    """
    wanted = failure(check, data)
    tries = 0
    size = len(data) // 2
    while wanted is not None and size and tries < _PATIENCE:
        at, shorter = 0, False
        while at < len(data) and tries < _PATIENCE:
            candidate = data[:at] + data[at + size :]
            tries += 1
            if failure(check, candidate) == wanted:
                data, shorter = candidate, True
            else:
                at += size
        if not shorter or size > len(data):
            size //= 2
    return data
