"""`tidegate top`: all workloads live, as the gateways and the autoscaler see them."""

import asyncio
import contextlib
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from controlplane.cli import options
from controlplane.cli.output import console, print_json, print_table
from controlplane.cli.settings import data_directory, load_settings
from controlplane.cli.stores import open_store, store_url
from controlplane.cli.views import Sampler, WorkloadView

HEADERS = ["WORKLOAD", "STATE", "RATE/S", "LOAD", "QUEUED", "WANTED", "READY", "REASON", "MESSAGE"]
_NUMBERS = frozenset({"RATE/S", "LOAD", "QUEUED", "WANTED", "READY"})


def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    interval: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, max=60.0, help="Time between two samples."),
    ] = 1.0,
    data_dir: options.DataDirectory = None,
    store: options.StoreUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one sample as JSON and end.")
    ] = False,
) -> None:
    """Show all workloads live: rate, load, queue, replicas, and the last decision's reason.

    Reads the store of the `tidegate up` on this machine, or the one that --store names. q or
    Ctrl-C ends it. Without a terminal it prints one table.
    """
    settings, _ = load_settings(named={"up.data_dir": data_dir, "store.url": store})
    directory = data_directory(settings)

    async def run() -> None:
        url = store_url(settings.store, directory)
        async with open_store(settings.store, url=url, data_dir=directory) as held:
            sampler = Sampler(held)
            await sampler.views()
            if as_json or once or not sys.stdout.isatty():
                await asyncio.sleep(interval)
                views = await sampler.views()
                if as_json:
                    print_json([as_row(view) for view in views])
                else:
                    print_table(HEADERS, [cells(view) for view in views])
                return
            await _live(sampler, interval)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


def as_row(view: WorkloadView) -> dict[str, object]:
    """A view as JSON."""
    return {**asdict(view), "load": view.load}


def cells(view: WorkloadView) -> list[str]:
    """A view as the cells of a table."""
    return [
        view.name,
        view.state.value,
        "-" if view.rate_per_s is None else f"{view.rate_per_s:.1f}",
        str(view.load),
        str(view.queued),
        "-" if view.wanted is None else str(view.wanted),
        str(view.ready),
        view.reason or "-",
        view.message,
    ]


async def _live(sampler: Sampler, interval_s: float) -> None:
    quit_pressed = asyncio.Event()
    with _keys(quit_pressed), Live(console=console(), screen=True, auto_refresh=False) as live:
        while not quit_pressed.is_set():
            live.update(_table(await sampler.views()), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await quit_pressed.wait()


def _table(views: Sequence[WorkloadView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", caption="q ends", expand=True)
    for header in HEADERS:
        table.add_column(header, justify="right" if header in _NUMBERS else "left")
    for view in views:
        table.add_row(*(escape(cell) for cell in cells(view)))
    return table


@contextlib.contextmanager
def _keys(quit_pressed: asyncio.Event) -> Iterator[None]:
    """Set the event when q is pressed; keys need no return key meanwhile."""
    if not sys.stdin.isatty():
        yield
        return
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        if sys.stdin.read(1) in {"q", "Q", ""}:
            quit_pressed.set()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
