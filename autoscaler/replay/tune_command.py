"""`tidegate tune`: which settings fit a trace, found by trying."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from autoscaler.replay import trace_options as options
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import MAX_REQUESTS
from autoscaler.replay.kpa import TARGET_RATIO

if TYPE_CHECKING:
    from autoscaler.replay.tune import Advice, Content, Tried


def tune(
    *,
    trace: options.TraceFile,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The policy to begin with, as `simulate` reads it. Default:"
            " httpRequestsConcurrency with 70 % of --concurrency (else 10) as target, 0 to 100"
            " replicas.",
        ),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, max=100_000, help="Most runs.")] = 100,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Only these settings, separated by commas: target, scaleDownDelaySeconds,"
            " maxScaleDownRate, panicWindowRatio, panicThreshold, scaleUpDelaySeconds,"
            " toleranceRatio, cooldownPeriodMinutes. Default: all.",
        ),
    ] = None,
    wait_p95: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            callback=options.finite,
            help="Recommend the cheapest setting with at most this p95 of waiting.",
        ),
    ] = None,
    replica_hours: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            min=0.0,
            callback=options.finite,
            help="Recommend the setting that waits least within these replica-hours.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time. Default: one per core.")
    ] = None,
    file_format: options.Format = None,
    seed: options.Seed = 1,
    start_up: options.StartUp = "5",
    service: options.ServiceTime = "trace",
    concurrency: options.Concurrency = None,
    workers: options.Workers = 1,
    from_s: options.Beginning = 0.0,
    until_s: options.End = None,
    rate: options.Rate = 1.0,
    workload: options.Workload = None,
    max_requests: options.MaxRequests = MAX_REQUESTS,
    tail: options.TailS = 0.0,
    gpus: options.Gpus = 0.0,
    price: options.Price = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all runs.")] = False,
    png: options.Picture = None,
    html: options.Page = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=options.writable,
            help="Write the recommended policy, as `simulate` reads it; its `autoscaling` is what"
            " the API takes.",
        ),
    ] = None,
) -> None:
    """Try settings on a traffic trace and recommend one.

    Runs the policy as it is, a grid of targets and delays, settings by chance and the neighbours of
    the best, all through the code that runs live; shows those that no other beats in waiting, cold
    starts and replica-hours.
    """
    from autoscaler.replay.chance import parse_service  # noqa: PLC0415 - start-up time
    from autoscaler.replay.formats import Reading  # noqa: PLC0415
    from autoscaler.replay.selected import open_selected  # noqa: PLC0415
    from autoscaler.replay.simulate_command import need_matplotlib  # noqa: PLC0415
    from autoscaler.replay.trials import OURS, Trial, carry_out_all, read_bench  # noqa: PLC0415
    from autoscaler.replay.tune import TuneError, Wanted, advise, explore, with_values  # noqa: PLC0415

    if png is not None:
        need_matplotlib()
    content = _content(policy, concurrency)
    only = options.names_in(vary, option="--vary")
    how = Reading(
        seed=seed,
        rate=rate,
        from_s=from_s,
        until_s=until_s,
        workload=workload,
        max_requests=max_requests,
    )
    bench = read_bench(
        open_selected(trace, file_format=file_format, how=how),
        parse_service(service),
        seed=seed,
        workers=workers,
        concurrency=concurrency,
        start_up=start_up,
        tail_s=tail,
        gpus=gpus,
        price_per_hour=price,
    )
    with progress("settings", budget) as bar:

        def run(contents: Sequence["Content"]) -> Sequence[Mapping[str, Any]]:
            trials = [Trial(scaler=OURS, policy=one) for one in contents]
            return carry_out_all(bench, trials, jobs=jobs, on_done=bar.advance)

        try:
            tried = explore(content, run, budget=budget, seed=seed, only=only)
        except TuneError as exc:
            raise ReplayError(str(exc), code=2) from exc
    advice = advise(tried, Wanted(wait_p95_s=wait_p95, replica_hours=replica_hours))
    recommended = with_values(content, advice.best.values)
    _write(tried, advice, recommended, title=f"Tuning on {trace.name}", files=(png, html, write))
    if as_json:
        _print_json(tried, advice, recommended, trace=trace.name, seed=seed)
    else:
        _print(tried, advice, recommended)


TABLE_WIDTH: Final = 130
"""Columns that the table may take, however narrow the terminal is."""


class Bar(Protocol):
    """Where long work tells how far it is."""

    def advance(self) -> None:
        """One piece more is done."""
        ...


@contextmanager
def progress(name: str, total: int) -> Iterator[Bar]:
    """A bar on standard error; nothing where that is no terminal.

    Args:
        name: What is counted.
        total: How many there are at most.
    """
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as drawn:
        task = drawn.add_task(name, total=total)

        class _Drawn:
            def advance(self) -> None:
                drawn.advance(task)

        yield _Drawn()


def _content(path: Path | None, concurrency: int | None) -> "Content":
    from autoscaler.replay.policy_file import parsed, policy_of  # noqa: PLC0415 - start-up time

    if path is None:
        target = 10 if concurrency is None else max(0.1, round(TARGET_RATIO * concurrency, 2))
        return {
            "autoscaling": {
                "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": target}],
                "minReplicaCount": 0,
                "maxReplicaCount": 100,
            },
            **({} if concurrency is None else {"concurrencyLimitPerReplica": concurrency}),
        }
    content = parsed(path)
    policy_of(content, name=str(path))
    assert isinstance(content, dict)  # noqa: S101 - `policy_of` refuses anything else
    return content if "autoscaling" in content else {"autoscaling": content}


def _command() -> str:
    return shlex.join(["tidegate", *sys.argv[1:]])


def _as_file(content: "Content") -> str:
    import yaml  # noqa: PLC0415 - slow to import

    text: str = yaml.safe_dump(content, sort_keys=False)
    return text


def _write(
    tried: Sequence["Tried"],
    advice: "Advice",
    recommended: "Content",
    *,
    title: str,
    files: tuple[Path | None, Path | None, Path | None],
) -> None:
    from autoscaler.replay import tune_report  # noqa: PLC0415 - start-up time

    png, html, write = files
    policy = _as_file(recommended)
    try:
        if png is not None:
            png.write_bytes(tune_report.png(tried, advice, title=title))
        if html is not None:
            made = tune_report.page(tried, advice, policy, title=title, command=_command())
            html.write_text(made, encoding="utf-8")
        if write is not None:
            why = "".join(f"# {reason}\n" for reason in advice.why)
            write.write_text(f"# Made by: {_command()}\n{why}{policy}", encoding="utf-8")
    except OSError as exc:
        raise ReplayError(f"cannot write {exc.filename}: {exc.strerror or exc}") from exc


def _print_json(
    tried: Sequence["Tried"], advice: "Advice", recommended: "Content", *, trace: str, seed: int
) -> None:
    import msgspec  # noqa: PLC0415 - start-up time

    from autoscaler.replay.tune_report import as_json  # noqa: PLC0415

    found = as_json(tried, advice, recommended, trace=trace, seed=seed, command=_command())
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def _print(tried: Sequence["Tried"], advice: "Advice", recommended: "Content") -> None:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415

    from autoscaler.replay.tune_report import columns, rows  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns(tried):
        table.add_column(name, justify="right", no_wrap=True)
    listed = [tried[0], *(one for one in advice.front if one is not tried[0])]
    for one, cells in zip(listed, rows(listed, tried), strict=True):
        table.add_row(*cells, style="bold" if one is advice.best else "")
    width = max(Console().width, TABLE_WIDTH)
    Console(highlight=False, width=width).print(table)
    typer.echo("\nThe first line is the policy as it is; a dot: as it has it. Bold: recommended.")
    typer.echo("\nRecommended:")
    for reason in advice.why:
        typer.echo(f"  {reason}")
    typer.echo(f"\n{_as_file(recommended)}", nl=False)
