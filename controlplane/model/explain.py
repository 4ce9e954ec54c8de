"""A scaling decision in words: who, what, why, and what would change it.

The text is for people who ask "why did it scale?"; programs read the record itself.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Final

from controlplane.model.decisions import Decision, Reason
from controlplane.model.grants import Grant
from controlplane.model.ids import OBJECT_ID

REASONS: Final[Mapping[Reason, str]] = {
    Reason.ON_TARGET: "this is what the load needs",
    Reason.WAKE_UP: "requests wait and nothing runs, so it was started at once",
    Reason.IDLE: "no request for the whole cooldown, so nothing needs to run",
    Reason.COOLDOWN: "there is nothing to do, but the cooldown before zero still runs",
    Reason.PANIC: "of a burst, the damping row says what told so: grow at once, never shrink",
    Reason.AT_MIN: "the load needs fewer, but the owner's smallest count holds",
    Reason.FORECAST: "more is expected soon, and replicas take their time to start",
    Reason.AT_MAX: "the load needs more, but the owner's largest count holds",
    Reason.SCALE_UP_LIMITED: "the load needs more, but growth per step is limited",
    Reason.SCALE_DOWN_LIMITED: "the load needs fewer, but shrinking per step is limited",
    Reason.STABILISING: "a higher need within the stabilisation window still holds",
    Reason.NO_DATA: "no gateway has reported lately: silence is not idleness, so it stays",
    Reason.LOW_QUALITY: "what is known of the load is too thin, too old or contradictory to shrink",
    Reason.MIN_RUN_TIME: "the load needs fewer, but replicas run for a while once they are started",
    Reason.SCHEDULED: "the load needs fewer, but a schedule's smallest count holds",
    Reason.CAPACITY: "there is not enough capacity for all of it",
    Reason.FIXED: "the owner asked for a fixed number",
    Reason.STOPPED: "the owner stopped it",
    Reason.ERRORED: "its replicas do not come up; see its status for what to do",
}
"""Every reason as the second half of a sentence."""

NameOf = Callable[[str], str | None]
"""The name of a workload, by id; None: there is none, or it is not the reader's to know."""

_BY_ID: Final = re.compile(rf"\bworkload ({OBJECT_ID.pattern})\b")
"""How a refusal speaks of the workloads that have what it was refused."""

_INPUT_NAMES: Final[Mapping[str, str]] = {
    "load": "load",
    "in_flight": "in flight",
    "queued": "queued",
    "mean_stable": "mean load",
    "mean_panic": "mean load of the short window",
    "demand": "demand now",
    "ready": "ready",
    "pending": "not serving yet",
    "unplaced": "without a place",
    "preparing": "being prepared",
    "pulling": "pulling their image",
    "starting": "starting",
    "unready": "failing their readiness check",
    "crashing": "crashing",
    "displaced": "displaced",
    "lost": "on silent nodes",
    "coverage_ratio": "share of the window reported",
    "report_age_s": "seconds since the last report",
    "running": "in flight by the replicas' own count",
    "idle_s": "seconds idle",
    "streams": "open streams",
    "active_streams": "of them active",
    "hourly": "requests in the last hour",
    "cpu_percent": "CPU %",
}


def count(replicas: int) -> str:
    """`1 replica`, `3 replicas`."""
    return f"{replicas} replica{'' if replicas == 1 else 's'}"


def change(decision: Decision) -> str:
    """What was decided: `1 -> 3 replicas`, `stays at 3 replicas`, or what became of it."""
    if decision.grant is not None:
        return f"{count(decision.replicas)} wanted, {decision.grant.granted} may run"
    if decision.replicas == decision.previous_replicas:
        return f"stays at {count(decision.replicas)}"
    return f"{decision.previous_replicas} -> {count(decision.replicas)}"


def number(value: float) -> str:
    """A number with at most two decimals, without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def headline(decision: Decision, *, zone: tzinfo) -> str:
    """One line: when, what, and the reason's name."""
    when = datetime.fromtimestamp(decision.at, zone).strftime("%Y-%m-%d %H:%M:%S")
    return f"{when}  {change(decision)}  ({decision.reason.value})"


def nameless(_workload_id: str) -> None:
    """For whoever knows no names: every workload is told by its id."""


def with_names(text: str, name_of: NameOf) -> str:
    """A refusal's sentence with names: `workload 'chat' 65f0...` where it said `workload 65f0...`.

    Args:
        text: A grant's note, or what was made of it.
        name_of: What the reader may know; the id alone stays of all others.
    """

    def named(match: re.Match[str]) -> str:
        name = name_of(match[1])
        return match[0] if name is None else f"workload {name!r} {match[1]}"

    return _BY_ID.sub(named, text)


def render(
    decision: Decision,
    *,
    workload_name: str,
    zone: tzinfo,
    names: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole explanation as plain text.

    Args:
        decision: The record.
        workload_name: As its owner calls it.
        zone: In whose time to write the clock.
        names: Of the other workloads that it speaks of, by id; whoever is not in it is told by the
            id.

    Returns:
        Lines for a terminal, without a newline at the end.
    """
    lines = [
        f"{workload_name}  workload {decision.workload_id}  proton {decision.proton_id}",
        headline(decision, zone=zone),
        f"because {REASONS[decision.reason]}.",
    ]
    if decision.steps:
        lines += ["", *_steps_table(decision)]
    if decision.grant is not None:
        lines += ["", *_capacity(decision.grant, at=decision.at, zone=zone)]
    if seen := _seen(decision.inputs):
        lines += ["", f"seen:  {seen}"]
    if decision.next:
        lines += ["", f"next:  {decision.next}"]
    text = "\n".join(lines)
    for workload_id, name in names.items():
        text = text.replace(f"workload {workload_id}", f"workload {name}")
    return text


def _steps_table(decision: Decision) -> list[str]:
    rows = [("step", "replicas", "how")]
    rows += [(step.name, number(step.value), step.note) for step in decision.steps]
    names = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    return [f"  {name:<{names}}  {value:>{values}}  {note}".rstrip() for name, value, note in rows]


def _capacity(grant: Grant, *, at: float, zone: tzinfo) -> list[str]:
    """Who waits for whom, with moments."""

    def clock(moment: float) -> str:
        return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S")

    waits = f"waits: since {clock(grant.since)}, last asked {clock(at)}"
    if grant.position:
        # The line moves on between two records of a decision.
        waits += f", then {grant.position}. of {grant.line} in line"
    if grant.until is not None:
        waits += f", until {clock(grant.until)} at least"
    lines = [f"runs:  {grant.granted} may, for the rest there is no capacity ({grant.refusal})"]
    lines += [waits]
    lines += [
        f"has it: workload {holder.workload_id} ({holder.importance}), {count(holder.replicas)} "
        f"since {clock(holder.since)}"
        for holder in grant.holders
    ]
    if grant.gave_way_to is not None:
        lines.append(f"gave way to: workload {grant.gave_way_to}")
    return lines


def _seen(inputs: Mapping[str, float | None]) -> str:
    known = [name for name in _INPUT_NAMES if name in inputs]
    others = sorted(name for name in inputs if name not in _INPUT_NAMES)
    return ", ".join(
        f"{_INPUT_NAMES.get(name, name)} {number(value)}"
        for name in [*known, *others]
        if (value := inputs[name]) is not None
    )
