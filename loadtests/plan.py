"""A load test as it was asked for, checked. Pure but for the files that options name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.arrivals import Cut
from loadtests.shapes import Course, Shape

TASKS = ("json", "stream", "websocket")
DEFAULT_RUN_S = 60.0
OPEN_USERS = 100


class OptionError(Exception):
    """An option that cannot be: says which, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What requests look like."""

    json_path: str
    method: str
    body: str
    headers: Mapping[str, str]
    stream_path: str
    stream_body: str
    """Empty: streams are asked for with GET, else with POST."""
    ws_path: str
    ws_messages: int
    ws_bytes: int
    mix: Mapping[str, float]
    """Task to weight: what a MixedUser does."""
    think_s: float
    timeout_s: float
    insecure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole load test."""

    course: Course
    calls: Calls
    rate_per_s: float
    trace: Path | None
    cut: Cut
    results: Path | None


def read_plan(values: Mapping[str, Any]) -> Plan:
    """Check the values and put them in order.

    Args:
        values: Option names, as argparse makes them, to values.

    Raises:
        OptionError: One of them cannot be.
    """
    shape = Shape(values["shape"])
    trace = values["trace"]
    if (shape == Shape.REPLAY) != (trace is not None):
        raise OptionError("--shape replay and --trace FILE belong together: give both or none")
    for name in ("rate", "trace_speed", "trace_keep", "timeout"):
        _check(values[name] > 0, name, values[name], "above 0")
    for name in ("trace_from", "think"):
        _check(values[name] >= 0, name, values[name], "0 or above")
    _check(values["trace_keep"] <= 1, "trace_keep", values["trace_keep"], "at most 1")
    return Plan(
        course=_course(shape, values),
        calls=_calls(values),
        rate_per_s=values["rate"],
        trace=trace,
        cut=Cut(
            from_s=values["trace_from"],
            speed=values["trace_speed"],
            keep_ratio=values["trace_keep"],
            seed=values["seed"],
        ),
        results=values["results"],
    )


def _course(shape: Shape, values: Mapping[str, Any]) -> Course:
    users = values["num_users"] or (OPEN_USERS if shape.is_open else 1)
    base = values["base_users"]
    base = max(1, users // 10) if base is None else base
    _check(0 <= base <= users, "base_users", base, f"0 to --users, which is {users}")
    period = values["period"]
    _check(period is None or period > 0, "period", period, "above 0")
    run_s = values["run_time"]
    if run_s is None and shape != Shape.REPLAY:
        run_s = DEFAULT_RUN_S
    return Course(
        shape=shape,
        users=users,
        base_users=base,
        spawn_per_s=values["spawn_rate"],
        run_s=run_s,
        period_s=period,
    )


def _calls(values: Mapping[str, Any]) -> Calls:
    for name in ("ws_messages", "ws_bytes"):
        _check(values[name] >= 1, name, values[name], "1 or above")
    for name in ("json_path", "stream_path", "ws_path"):
        _check(values[name].startswith("/"), name, values[name], "a path that begins with /")
    return Calls(
        json_path=values["json_path"],
        method=values["method"].upper(),
        body=_body("body", values["body"]),
        headers=dict(_header(line) for line in values["header"]),
        stream_path=values["stream_path"],
        stream_body=_body("stream_body", values["stream_body"]),
        ws_path=values["ws_path"],
        ws_messages=values["ws_messages"],
        ws_bytes=values["ws_bytes"],
        mix=_mix(values["mix"]),
        think_s=values["think"],
        timeout_s=values["timeout"],
        insecure=values["insecure"],
    )


def _body(name: str, text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        flag = name.replace("_", "-")
        raise OptionError(f"--{flag} {text}: {exc}. @FILE reads a text file") from exc


def _header(line: str) -> tuple[str, str]:
    name, separator, value = line.partition(":")
    if not separator or not name.strip():
        raise OptionError(f"--header {line!r} is not 'NAME: VALUE', like 'Accept: text/html'")
    return name.strip(), value.strip()


def _mix(text: str) -> dict[str, float]:
    mix = {}
    for item in text.split(","):
        task, _, weight = item.strip().partition("=")
        try:
            mix[task] = float(weight)
        except ValueError:
            mix[task] = -1.0
        if task not in TASKS or mix[task] < 0:
            raise OptionError(f"--mix {item!r} is not one of {', '.join(TASKS)}, =, a number")
    if not sum(mix.values()):
        raise OptionError(f"--mix {text!r} does nothing: one weight must be above 0")
    return mix


def _check(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise OptionError(f"--{name.replace('_', '-')} {value}: it must be {wanted}")
