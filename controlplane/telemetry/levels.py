"""Levels of log lines: the contract's words, OpenTelemetry's numbers, and how lines say them.

word      numbers   also called
--------  --------  ------------------------------
debug     1 to 8    trace, verbose
info      9 to 12   information, notice
warning   13 to 16  warn
error     17 to 20  err
critical  21 to 24  fatal, panic, emergency, alert
"""

import re
from typing import Final

DEBUG: Final = 5
INFO: Final = 9
WARNING: Final = 13
ERROR: Final = 17
CRITICAL: Final = 21

LEAST: Final = {
    "debug": 1,
    "info": INFO,
    "warn": WARNING,
    "warning": WARNING,
    "error": ERROR,
    "critical": CRITICAL,
}
"""The levels that a client may ask for, and the least severity of each."""

_BY_WORD: Final = {
    **dict.fromkeys(("trace", "verbose"), 1),
    **dict.fromkeys(("debug", "dbg"), DEBUG),
    **dict.fromkeys(("info", "information", "notice"), INFO),
    **dict.fromkeys(("warn", "warning"), WARNING),
    **dict.fromkeys(("error", "err", "severe"), ERROR),
    **dict.fromkeys(("critical", "fatal", "panic", "emergency", "alert"), CRITICAL),
}

_PYTHON_STEP: Final = 10
"""Python's and bunyan's levels are 10, 20, ...: debug, info, warning, error, critical."""
_PYTHON: Final = (1, DEBUG, INFO, WARNING, ERROR, CRITICAL)

_PLAIN: Final = re.compile(
    r"[^A-Za-z]{0,40}(?:\d[\dTZ:.,+ -]{4,40})?[^A-Za-z]{0,8}"
    r"(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)(?![A-Za-z])"
)
"""A level in capitals where a line begins, or after what looks like a time or brackets."""

_MIDDLE: Final = re.compile(r"[-|:\[] ?(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL) ?[-|:\]]")
"""The same between separators, as `time - name - LEVEL - text` has it."""
_MIDDLE_WITHIN: Final = 120


def word(severity: int) -> str:
    """The contract's word for a severity number."""
    for name, least in (
        ("critical", CRITICAL),
        ("error", ERROR),
        ("warning", WARNING),
        ("info", INFO),
    ):
        if severity >= least:
            return name
    return "debug"


def bounds_of(level: str) -> tuple[int, int]:
    """The severity numbers that are one level, first and last; none for a word that is none."""
    if level not in LEAST:
        return 1, 0
    least = LEAST[level]
    above = [other for other in LEAST.values() if other > least]
    return least, min(above) - 1 if above else 24


def severity_of(said: object) -> int | None:
    """The severity number for a level as applications write it; None: it is none."""
    if isinstance(said, str):
        return _BY_WORD.get(said.strip().lower())
    if isinstance(said, int | float) and not isinstance(said, bool):
        step = int(said // _PYTHON_STEP)
        return _PYTHON[min(max(step, 0), len(_PYTHON) - 1)]
    return None


def guess(line: str) -> int:
    """The severity of a line of plain text; info where it does not say."""
    found = _PLAIN.match(line) or _MIDDLE.search(line, 0, _MIDDLE_WITHIN)
    return _BY_WORD[found[1].lower()] if found else INFO
