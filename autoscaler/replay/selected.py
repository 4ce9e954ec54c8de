"""The part of a trace that a command was asked for: refused when no request is in it."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import Reading, open_trace
from autoscaler.replay.traces import Trace

NAMES_SHOWN: Final = 20
"""Workloads that a message names."""


def open_selected(path: Path, *, file_format: str | None, how: Reading) -> Trace:
    """A trace with at least one request.

    Args:
        path: The file.
        file_format: See `open_trace`.
        how: The part, as asked for.

    Raises:
        ReplayError: See `open_trace`; or no request is in the part: the message says what there is.
    """
    trace = open_trace(path, file_format=file_format, how=how)
    if next(trace.read(), None) is None:
        raise _empty(path, trace.format, how)
    return trace


def _empty(path: Path, file_format: str, how: Reading) -> ReplayError:
    everything = replace(how, from_s=0.0, until_s=None, workload=None, rate=1.0)
    names: set[str] = set()
    count, first_s, last_s = 0, 0.0, 0.0
    for arrival in open_trace(path, file_format=file_format, how=everything).read():
        first_s = first_s if count else arrival.at_s
        count, last_s = count + 1, arrival.at_s
        if arrival.workload is not None:
            names.add(arrival.workload)
    if not count:
        return ReplayError(
            f"no request is in {path}",
            hint="It has no lines behind its header, or only counts of 0.",
            code=2,
        )
    if how.workload is not None and how.workload not in names:
        return ReplayError(
            f"no request of a workload {how.workload!r} is in {path}",
            hint=_known(names),
            code=2,
        )
    return ReplayError(
        f"no request is in the part of {path} that was asked for",
        hint=f"It has {count:,} requests, from second {first_s:,.6g} to {last_s:,.6g}; --from,"
        " --until, --rate and --workload left none of them.",
        code=2,
    )


def _known(names: set[str]) -> str:
    if not names:
        return "It does not say whose requests they are: leave --workload out."
    shown = sorted(names)[:NAMES_SHOWN]
    more = len(names) - len(shown)
    return f"It has {', '.join(shown)}{f' and {more} more' if more else ''}."
