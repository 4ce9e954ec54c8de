"""`tidegate simulate`: what a policy would have done with a trace, before it is deployed."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from autoscaler.replay import trace_options as options
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import MAX_REQUESTS
from autoscaler.replay.world import World

if TYPE_CHECKING:
    from rich.progress import TaskID

    from autoscaler.replay.comparison import Comparison

PEER_NAMES: Final = ("knative", "hpa", "hpa-cpu", "keda")


def simulate(
    *,
    trace: options.TraceFile,
    policy: options.PolicyFile,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Models of others to compare with, separated by commas: {', '.join(PEER_NAMES)}.",
        ),
    ] = None,
    file_format: options.Format = None,
    seed: options.Seed = 1,
    start_up: options.StartUp = "5",
    service: options.ServiceTime = "trace",
    concurrency: options.Concurrency = None,
    workers: options.Workers = 1,
    initial: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10_000,
            help="Replicas ready at the beginning. Default: the policy's minimum.",
        ),
    ] = None,
    from_s: options.Beginning = 0.0,
    until_s: options.End = None,
    rate: options.Rate = 1.0,
    workload: options.Workload = None,
    max_requests: options.MaxRequests = MAX_REQUESTS,
    tail: options.TailS = 0.0,
    gpus: options.Gpus = 0.0,
    price: options.Price = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with timelines instead of a table.")
    ] = False,
    png: options.Picture = None,
    html: options.Page = None,
) -> None:
    """Run a traffic trace through a scaling policy, and through models of other autoscalers.

    Requests queue in gateways and replicas as they do live, and the decisions are made by the very
    code that runs live. Says how long requests would have waited, how many would have failed, and
    what it would have cost.
    """
    from autoscaler.replay.chance import parse_draw, parse_service  # noqa: PLC0415 - start-up time
    from autoscaler.replay.comparison import compare  # noqa: PLC0415
    from autoscaler.replay.contestants import ours, peers  # noqa: PLC0415
    from autoscaler.replay.formats import Reading  # noqa: PLC0415
    from autoscaler.replay.policy_file import load_policy  # noqa: PLC0415
    from autoscaler.replay.selected import open_selected  # noqa: PLC0415

    if png is not None:
        need_matplotlib()
    wish = load_policy(policy)
    how = Reading(
        seed=seed,
        rate=rate,
        from_s=from_s,
        until_s=until_s,
        workload=workload,
        max_requests=max_requests,
    )
    source = open_selected(trace, file_format=file_format, how=how)
    gateway = wish.settings.gateway
    world = World(
        workers=workers,
        replica_limit=wish.replica_limit,
        concurrency=concurrency,
        queue_limit=gateway.queue_limit,
        hold_timeout_s=gateway.cold_start_timeout_s,
        start_up=parse_draw(start_up, name="--start-up"),
        drain_timeout_s=wish.settings.autoscaler.drain_timeout_s,
        initial=wish.autoscaling.min_replicas if initial is None else initial,
        gpus=gpus,
        price_per_hour=price,
    )
    names = options.names_in(against, option="--against")
    scalers = [
        ours(wish, began_at=source.began_at, concurrency=concurrency),
        *peers(names, wish, concurrency=concurrency),
    ]
    with progress(source.duration_s) as on_progress:
        comparison = compare(
            source,
            world,
            scalers,
            service=parse_service(service),
            seed=seed,
            tail_s=tail,
            on_progress=on_progress,
        )
    show(comparison, as_json=as_json, png=png, html=html)


@contextmanager
def progress(duration_s: float | None) -> Iterator[Callable[[str, float], None] | None]:
    """A bar on standard error while something long runs; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[clock]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def told(name: str, now_s: float) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=duration_s, clock="")
            bar.update(tasks[name], completed=now_s, clock=f"{now_s / 3600:.1f} h of the trace")

        yield told


def need_matplotlib() -> None:
    """Refuse to begin what ends in a picture that cannot be drawn.

    Raises:
        ReplayError: matplotlib is not installed.
    """
    from autoscaler.replay import plots  # noqa: PLC0415 - start-up time

    if not plots.available():
        raise ReplayError(
            "a picture was asked for, and matplotlib is not installed",
            hint="pip install 'tidegate[demo]'; or use --html, which needs nothing.",
        )


def show(comparison: "Comparison", *, as_json: bool, png: Path | None, html: Path | None) -> None:
    """Print a comparison and write its files.

    Raises:
        ReplayError: A file cannot be written.
    """
    from autoscaler.replay import page, plots, report  # noqa: PLC0415 - start-up time

    command = shlex.join(["tidegate", *sys.argv[1:]])
    try:
        if png is not None:
            png.write_bytes(plots.comparison_png(comparison))
        if html is not None:
            html.write_text(page.page(comparison, command=command), encoding="utf-8")
    except OSError as exc:
        raise ReplayError(f"cannot write {exc.filename}: {exc.strerror or exc}") from exc
    if as_json:
        import msgspec  # noqa: PLC0415 - start-up time

        found = report.as_json(comparison, command=command)
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    _print_table([report.summary(outcome, comparison.world) for outcome in comparison.outcomes])


def _print_table(summaries: Sequence[dict[str, object]]) -> None:
    """Scalers side by side, a line per number: as wide as their names."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from autoscaler.replay.page import cell  # noqa: PLC0415
    from autoscaler.replay.report import shown_columns  # noqa: PLC0415

    first = summaries[0]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{first['requests']:,} requests")
    for one in summaries:
        table.add_column(str(one["scaler"]), justify="right", no_wrap=True)
    for key, name in shown_columns(summaries).items():
        if key != "scaler":
            table.add_row(name, *(cell(one[key]) for one in summaries))
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(table)
