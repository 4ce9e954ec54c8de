"""A trace: when requests arrive, and what is known of each. Read as a stream, never as a whole."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from autoscaler.replay.chance import Service
from autoscaler.replay.errors import ReplayError


class Arrival(NamedTuple):
    """One request."""

    at_s: float
    """Seconds since the trace's beginning."""
    service_s: float | None = None
    """How long a replica works on it; None: the trace does not tell."""
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    workload: str | None = None
    """Whose request it is, in traces of several workloads."""
    line: int | None = None
    """Of the file that lists it, for messages; None: no line is about it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace that can be read as often as one likes, each time the same."""

    name: str
    """For titles: the file's name, or what made it."""
    format: str
    read: Callable[[], Iterator[Arrival]]
    """Arrivals in the order of their times, from the beginning."""
    began_at: float | None = None
    """Wall clock of second 0, epoch seconds; None: the trace does not tell."""
    duration_s: float | None = None
    """How long the trace is; None: until its last arrival."""


def of_workload(arrivals: Iterable[Arrival], workload: str | None) -> Iterator[Arrival]:
    """Only one workload's requests; all of them with None."""
    if workload is None:
        yield from arrivals
    else:
        yield from (arrival for arrival in arrivals if arrival.workload == workload)


def with_service(
    arrivals: Iterable[Arrival], service: Service, *, seed: int, name: str = "the trace"
) -> Iterator[tuple[float, float]]:
    """Moments and service times of all requests, the same for the same seed.

    Args:
        arrivals: In order.
        service: Which times count.
        seed: Of the drawn times.
        name: Of the file, for messages.

    Raises:
        ReplayError: A request's service time is not known.
    """
    rng = random.Random(seed)  # noqa: S311 - simulated traffic
    tokens, draw, from_trace = service.tokens, service.draw, service.from_trace
    for number, arrival in enumerate(arrivals, start=1):
        at_s, service_s, prompt, generated, _, _ = arrival
        if from_trace and service_s is not None:
            yield at_s, service_s
        elif tokens is not None and prompt is not None and generated is not None:
            yield at_s, tokens.seconds(prompt, generated)
        elif draw is not None:
            yield at_s, draw(rng)
        else:
            raise _unknown(arrival, number, name, tokens=tokens is not None)


def _unknown(arrival: Arrival, number: int, name: str, *, tokens: bool) -> ReplayError:
    """The error about a request whose service time is not known."""
    what = "how long its service takes is not known"
    if arrival.line is None:
        return ReplayError(
            f"request {number} of {name}: {what}",
            hint="Give --service, for example lognormal:0.2,1.5, or tokens:4000,50 where the"
            " trace tells tokens.",
            code=2,
        )
    column = "service_s"
    if tokens:
        column = "prompt_tokens" if arrival.prompt_tokens is None else "generated_tokens"
    return ReplayError(
        f"{name}, line {arrival.line}, column {column}: it is empty or not there, so {what}",
        hint="Fill it in, or leave the line out; or give --service, for example lognormal:0.2,1.5,"
        " or tokens:4000,50 where every line tells its tokens.",
        code=2,
    )
