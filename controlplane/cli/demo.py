"""`tidegate demo`: real traffic wakes a workload from zero, spreads, and lets it go again."""

import asyncio
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controlplane.cli.demo_run import DemoRun
from controlplane.cli.errors import CliError
from controlplane.cli.output import console, say, warn
from controlplane.cli.plan import worker_count
from controlplane.demo import chart
from controlplane.demo.page import page
from controlplane.demo.report import Row, Story, changes, problems, summary
from controlplane.demo.traffic import MAX_SECONDS, MIN_SECONDS
from controlplane.model.sections import Settings

MAX_WORKERS: Final = 4
_LINE_EVERY_S: Final = 1.0


def demo(
    *,
    seconds: Annotated[
        int,
        typer.Option(
            min=MIN_SECONDS, max=MAX_SECONDS, help="About how long it takes in all, in seconds."
        ),
    ] = 60,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the summary as JSON to this file."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where timeline.png and timeline.html are written."),
    ] = Path("demo-out"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary installation: store and logs.")
    ] = False,
) -> None:
    """Watch a workload wake from zero, scale with a burst of requests, and go back to zero.

    Starts a whole installation in a temporary directory, on free ports. Exit code 0 only if no
    request failed, at least 3 replicas were ready at once, none was left, and the gateways
    counted exactly the requests that were sent.
    """
    if not chart.available():
        raise CliError(
            "the demo draws a timeline, and matplotlib is not installed",
            hint="pip install 'tidegate[demo]'",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CliError(
            f"cannot write to {out}: {exc.strerror}", hint="Choose another --out."
        ) from exc
    # Short, because a Unix socket's path is.
    data_dir = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    story: Story | None = None
    try:
        story = _run(seconds, data_dir)
        _write(story, out=out, json_file=json_file)
    finally:
        if keep or story is None or problems(story):
            warn(f"kept: {data_dir} (logs in {data_dir}/logs)")
        else:
            shutil.rmtree(data_dir, ignore_errors=True)
    if found := problems(story):
        raise CliError("the demo did not show what it should: " + "; ".join(found))


def _run(seconds: int, data_dir: Path) -> Story:
    say(f"Starting an installation in {data_dir}: store, API, autoscaler, gateway ...")
    screen = _Screen()
    run = DemoRun(
        seconds=seconds,
        data_dir=data_dir,
        workers=min(worker_count(Settings()), MAX_WORKERS),
        watch=screen.show,
        note=screen.note,
    )
    with screen:
        return asyncio.run(run.run())


def _write(story: Story, *, out: Path, json_file: Path | None) -> None:
    png = chart.timeline_png(story)
    try:
        (out / "timeline.png").write_bytes(png)
        (out / "timeline.html").write_text(page(story, png), encoding="utf-8")
        if json_file is not None:
            encoded = msgspec.json.encode(summary(story))
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_bytes(msgspec.json.format(encoded, indent=2) + b"\n")
    except OSError as exc:
        raise CliError(f"cannot write the report: {exc}", hint="Choose another --out.") from exc
    say(report_text(story, out=out))


def report_text(story: Story, *, out: Path) -> str:
    """The last lines that the demo prints."""
    facts = summary(story)
    return "\n".join(
        [
            "",
            f"  requests        {facts['requests']} sent, {facts['failed']} failed",
            f"  gateways count  {facts['started']} started, {facts['finished']} finished",
            f"  cold start      {_or_dash(facts['cold_start_s'])} s until the first answer",
            f"  replicas        0 -> {facts['max_ready_replicas']} -> {facts['final_replicas']}",
            f"  response time   p50 {_or_dash(facts['p50_ms'])} ms, "
            f"p95 {_or_dash(facts['p95_ms'])} ms",
            f"  decisions       {facts['decisions']}, {len(changes(story))} of them changes",
            f"  timeline        {out / 'timeline.png'}  {out / 'timeline.html'}",
        ]
    )


class _Screen:
    """The live table on a terminal; one line a second elsewhere."""

    def __init__(self) -> None:
        self._live = (
            Live(console=console(), auto_refresh=False, transient=False)
            if sys.stdout.isatty()
            else None
        )
        self._last_line_s = -_LINE_EVERY_S

    def __enter__(self) -> "_Screen":
        (self._live or nullcontext()).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def show(self, row: Row) -> None:
        """One sample."""
        if self._live:
            self._live.update(_table(row), refresh=True)
        elif row.at_s - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = row.at_s
            say(line(row))

    def note(self, text: str) -> None:
        """Something unusual."""
        if self._live:
            self._live.console.print(text, markup=False)
        else:
            say(text)


def line(row: Row) -> str:
    """A sample on one line."""
    return (
        f"{row.at_s:5.1f} s  {row.phase:<7}  {row.rate_per_s:6.1f}/s  load {row.load:>3}"
        f"  queued {row.queued:>3}  replicas {row.ready}/{row.wanted}"
        f"  p50 {_or_dash(row.p50_ms):>6} ms  p95 {_or_dash(row.p95_ms):>6} ms  {row.reason}"
    )


def _table(row: Row) -> Table:
    title = f"{row.at_s:5.1f} s  {row.phase:<8} last decision: {row.decision or '-'}"
    table = Table(
        title=Text(f"{title}  now: {row.reason or '-'}"),
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    values = {
        "SENT": str(row.sent),
        "FAILED": str(row.failed),
        "RATE/S": f"{row.rate_per_s:.1f}",
        "LOAD": str(row.load),
        "QUEUED": str(row.queued),
        "WANTED": str(row.wanted),
        "READY": str(row.ready),
        "P50 MS": _or_dash(row.p50_ms),
        "P95 MS": _or_dash(row.p95_ms),
    }
    for header in values:
        table.add_column(header, justify="right", min_width=6, no_wrap=True)
    table.add_row(*values.values())
    return table


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
