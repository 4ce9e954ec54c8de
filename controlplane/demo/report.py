"""What the demo saw, and what it says about it. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from controlplane.demo.client import Outcome
from controlplane.demo.traffic import Phase
from controlplane.model.decisions import Decision
from controlplane.model.histograms import nearest_rank

WANTED_REPLICAS = 3
"""The burst must bring at least this many replicas up at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sample of the installation; `at_s` counts from the beginning of the first phase."""

    at_s: float
    phase: str
    sent: int
    """Requests that the client has sent so far."""
    failed: int
    rate_per_s: float
    in_flight: int
    queued: int
    wanted: int
    ready: int
    replicas: int
    """All that exist, starting and leaving ones included."""
    decision: str
    """The newest decision on record: `1 -> 4 replicas`; empty before the first."""
    reason: str
    """Why the count is what it is now."""
    p50_ms: float | None
    """Of the answers of the last seconds; None without any."""
    p95_ms: float | None

    @property
    def load(self) -> int:
        """In flight and queued."""
        return self.in_flight + self.queued


@dataclass(slots=True, kw_only=True)
class Story:
    """Everything that was collected."""

    seconds: float
    phases: Sequence[Phase]
    began_at: float
    """Epoch seconds of the beginning of the first phase."""
    clock_start_s: float = 0.0
    """The same moment on the client's clock."""
    rows: list[Row] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0
    decisions: list[Decision] = field(default_factory=list)
    """Oldest first."""
    started: int = 0
    """The gateways' own counts."""
    finished: int = 0
    cold_starts: int = 0
    exit_code: int | None = None
    """Of `tidegate up`, after it was asked to stop."""
    notes: list[str] = field(default_factory=list)
    """Whatever else happened: a process died, the run was interrupted."""

    def offset_s(self, outcome: Outcome) -> float:
        """Intended moment of a request, from the beginning of the first phase."""
        return outcome.at_s - self.clock_start_s


def quantile(values: Sequence[float], q: float) -> float | None:
    """The `q` quantile (0 to 1) by the nearest-rank method; None without values."""
    if not values:
        return None
    return sorted(values)[nearest_rank(len(values), q) - 1]


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as milliseconds with one decimal."""
    return None if seconds is None else round(seconds * 1000, 1)


def problems(story: Story) -> list[str]:
    """Why the demo did not show what it should; empty when it did."""
    found = []
    failed = [outcome for outcome in story.outcomes if outcome.failed]
    if failed:
        kinds = Counter(str(o.error or o.status) for o in failed)
        causes = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(5))
        found.append(f"{len(failed)} requests failed: {causes}")
    if len(story.outcomes) != story.sent:
        found.append(f"{story.sent} requests were sent, {len(story.outcomes)} ended")
    if not story.sent:
        found.append("nothing was sent")
    highest = max_ready(story)
    if highest < WANTED_REPLICAS:
        found.append(f"at most {highest} replicas were ready, not {WANTED_REPLICAS}")
    if final_replicas(story) != 0:
        found.append(f"{final_replicas(story)} replicas were left, not 0")
    if story.started != story.sent:
        found.append(f"the gateways counted {story.started} requests, {story.sent} were sent")
    if story.exit_code not in {0, None}:
        found.append(f"`tidegate up` ended with code {story.exit_code}")
    return found


def max_ready(story: Story) -> int:
    """Most replicas ready at one sample."""
    return max((row.ready for row in story.rows), default=0)


def final_replicas(story: Story) -> int:
    """Replicas that existed at the last sample; -1 without samples."""
    return story.rows[-1].replicas if story.rows else -1


def cold_start_s(story: Story) -> float | None:
    """How long the first request waited for its answer."""
    first = [o.seconds for o in story.outcomes if o.phase == "first" and not o.failed]
    return round(first[0], 3) if first else None


def changes(story: Story) -> list[Decision]:
    """Decisions that changed the number of replicas, oldest first."""
    return [d for d in story.decisions if d.replicas != d.previous_replicas]


def summary(story: Story) -> dict[str, object]:
    """The JSON summary. Times ending in `_ms` count from the intended moment of sending."""
    seconds = [outcome.seconds for outcome in story.outcomes if not outcome.failed]
    found = problems(story)
    return {
        "ok": not found,
        "problems": found,
        "notes": story.notes,
        "seconds": round(story.seconds, 1),
        "requests": story.sent,
        "failed": story.sent - len(seconds),
        "cold_start_s": cold_start_s(story),
        "max_ready_replicas": max_ready(story),
        "final_replicas": final_replicas(story),
        "p50_ms": milliseconds(quantile(seconds, 0.5)),
        "p95_ms": milliseconds(quantile(seconds, 0.95)),
        "p99_ms": milliseconds(quantile(seconds, 0.99)),
        "decisions": len(story.decisions),
        "started": story.started,
        "finished": story.finished,
        "cold_starts": story.cold_starts,
        "statuses": dict(sorted(Counter(str(o.status or "none") for o in story.outcomes).items())),
        "phases": [phase_summary(story, phase) for phase in story.phases],
        "changes": [
            {
                "at_s": round(at_s, 2),
                "from": decision.previous_replicas,
                "to": decision.replicas,
                "reason": decision.reason.value,
            }
            for at_s, decision in timed_changes(story)
        ],
    }


def phase_summary(story: Story, phase: Phase) -> dict[str, object]:
    """One phase's line of the summary; requests belong to the phase they were meant for."""
    outcomes = [outcome for outcome in story.outcomes if outcome.phase == phase.name]
    seconds = [outcome.seconds for outcome in outcomes if not outcome.failed]
    rows = [row for row in story.rows if row.phase == phase.name]
    return {
        "name": phase.name,
        "start_s": round(phase.start_s, 2),
        "end_s": round(phase.end_s, 2),
        "requests": len(outcomes),
        "failed": len(outcomes) - len(seconds),
        "p50_ms": milliseconds(quantile(seconds, 0.5)),
        "p95_ms": milliseconds(quantile(seconds, 0.95)),
        "max_queued": max((row.queued for row in rows), default=0),
        "max_ready_replicas": max((row.ready for row in rows), default=0),
    }


def timed_changes(story: Story) -> list[tuple[float, Decision]]:
    """Changing decisions with their time from the beginning of the first phase."""
    if not story.rows:
        return []
    return [(decision.at - story.began_at, decision) for decision in changes(story)]
