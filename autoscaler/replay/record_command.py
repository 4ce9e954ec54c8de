"""`tidegate record`: the traffic of a running system as a trace."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from autoscaler.replay.errors import ReplayError
from autoscaler.replay.trace_options import finite, writable

if TYPE_CHECKING:
    from autoscaler.replay.record import Differences
    from controlplane.model.sections import StoreSettings
    from controlplane.store.client import Store

NAMES_EVERY_S: Final = 10.0
"""How often the names of workloads are read."""


def record(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; must not exist.")],
    *,
    interval: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.2, max=60.0, callback=finite, help="Length of a step."
        ),
    ] = 0.5,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            min=0.0,
            callback=finite,
            help="End after this. Default: Ctrl-C.",
        ),
    ] = None,
    max_mib: Annotated[
        float,
        typer.Option(min=0.1, callback=finite, help="End when the file is as large as this, MiB."),
    ] = 1024.0,
    workload: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this workload; may be repeated. Default: all."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Data directory of the running `tidegate up`. Default: `up.data_dir`"
            " (TIDEGATE_UP_DATA_DIR).",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="redis://, rediss:// or unix:// URL of the store. Default: the running"
            " `tidegate up`.",
        ),
    ] = None,
) -> None:
    """Record the traffic of a running system: how many requests came when, and how long they took.

    Reads the cumulative counters that the gateways report, so that no request is missed however
    long a step is; within a step, and a report's half second, the moment is not known. Ctrl-C ends
    it. `tidegate simulate` reads the file.
    """
    from controlplane.model.settings import SettingsError  # noqa: PLC0415 - start-up time
    from controlplane.process import read_settings  # noqa: PLC0415
    from controlplane.store.errors import StoreError  # noqa: PLC0415

    try:
        settings, _ = read_settings(flags={} if store is None else {"store.url": store})
    except SettingsError as exc:
        raise ReplayError(str(exc), hint="`tidegate config` lists every setting.", code=2) from exc
    if not settings.store.url:
        raise ReplayError(
            f"no `tidegate up` runs on {data_dir or settings.up.data_dir}, and no store is named",
            hint="Start it, or name its data directory (--data-dir or TIDEGATE_UP_DATA_DIR) or its"
            " store (--store URL or TIDEGATE_STORE_URL). The store is read, not the API: the"
            " API's URL and token are no help here.",
        )
    if out.exists():
        raise _there(out)
    writable(out)
    recorder = _Recorder(
        settings.store,
        interval_s=interval,
        only=frozenset(workload or ()),
        max_bytes=max_mib * 2**20,
    )
    try:
        asyncio.run(recorder.run(out, for_s=seconds))
    except FileExistsError as exc:
        raise _there(out) from exc
    except OSError as exc:
        raise ReplayError(f"cannot write {out}: {exc.strerror or exc}") from exc
    except StoreError as exc:
        raise ReplayError(
            f"the store cannot be read: {exc}", hint="--store or TIDEGATE_STORE_URL names it."
        ) from exc
    sys.stderr.write(f"{out}: {recorder.started:,} requests in {recorder.length_s:.1f} s\n")


def _there(out: Path) -> ReplayError:
    return ReplayError(f"{out} is there already", hint="Choose another name.")


def _begun(out: Path) -> TextIO:
    """A new file.

    Raises:
        OSError: It is there, or cannot be made.
    """
    return out.open("x", encoding="utf-8")


class _Recorder:
    """Polls the store and writes steps."""

    def __init__(
        self,
        settings: "StoreSettings",
        *,
        interval_s: float,
        only: frozenset[str],
        max_bytes: float,
    ) -> None:
        self._settings = settings
        self._interval_s = interval_s
        self._only = only
        self._max_bytes = max_bytes
        self.started = 0
        """Requests recorded."""
        self.length_s = 0.0

    async def run(self, out: Path, *, for_s: float | None) -> None:
        """Record until told to end; the file is made when the store has answered.

        Raises:
            OSError: The file is there already, or cannot be written.
            StoreError: The store cannot be read.
        """
        from autoscaler.replay.record import Differences  # noqa: PLC0415 - start-up time
        from controlplane.store.client import Store  # noqa: PLC0415

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if for_s is not None:
            loop.call_later(for_s, stop.set)
        settings = replace(self._settings, allow_volatile=True)  # it only reads
        async with await Store.connect(settings, client_name="tidegate-record") as store:
            differences = Differences()
            reports = await store.collect_reports()
            differences.step(reports, {}, at_s=0.0, length_s=self._interval_s)
            with _begun(out) as file:
                await self._follow(store, differences, file, stop, clock=loop.time)

    async def _follow(
        self,
        store: "Store",
        differences: "Differences",
        file: TextIO,
        stop: asyncio.Event,
        *,
        clock: Callable[[], float],
    ) -> None:
        from autoscaler.replay.recording import (  # noqa: PLC0415 - start-up time
            write_header,
            write_step,
        )
        from controlplane.store.errors import StoreUnavailableError  # noqa: PLC0415

        begun_s = before_s = named_s = clock()
        names = await _names(store)
        write_header(file, began_at=time.time())
        file.flush()
        sys.stderr.write("recording; Ctrl-C ends it\n")
        ending = False
        while not ending:
            ending = await _over(stop, self._interval_s)
            try:
                reports = await store.collect_reports()
                if clock() - named_s >= NAMES_EVERY_S:
                    names, named_s = await _names(store), clock()
            except StoreUnavailableError:
                continue  # the next step covers the gap
            now_s = clock()
            for step in differences.step(
                reports, names, at_s=before_s - begun_s, length_s=now_s - before_s
            ):
                if not self._only or step.workload in self._only:
                    write_step(file, step)
                    self.started += step.started
            file.flush()
            before_s, self.length_s = now_s, now_s - begun_s
            if file.tell() >= self._max_bytes:
                sys.stderr.write("the file is as large as it may be\n")
                return


async def _names(store: "Store") -> dict[str, str]:
    from controlplane.model.workloads import Workload  # noqa: PLC0415 - start-up time

    return {entry.record.id: entry.record.name for entry in await store.list(Workload)}


async def _over(stop: asyncio.Event, after_s: float) -> bool:
    """Wait for the end, at most so long; returns whether it came."""
    try:
        async with asyncio.timeout(after_s):
            await stop.wait()
    except TimeoutError:
        return False
    return True
