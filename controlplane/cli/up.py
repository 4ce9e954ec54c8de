"""`tidegate up`: an installation on this machine, from one command."""

import asyncio
import os
import shlex
import sys
import time
from contextlib import AbstractAsyncContextManager
from typing import Annotated

import typer

from controlplane import __version__, accounts
from controlplane.catalogue import read_catalogue
from controlplane.cli import options
from controlplane.cli.children import Announce, Child, ProcessChild
from controlplane.cli.datadir import DataDir, RunInfo, end_leftovers, read_run, start_time, unusable
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_json_line, say
from controlplane.cli.plan import (
    choose_addresses,
    clashes,
    process_specs,
    wanted_ports,
    worker_count,
)
from controlplane.cli.ports import check_free
from controlplane.cli.settings import data_directory, load_settings
from controlplane.cli.sockets import Sockets, held_sockets
from controlplane.cli.store_child import StoreChild
from controlplane.cli.stores import open_store
from controlplane.cli.supervisor import Rolls, Supervisor
from controlplane.model.people import Credential
from controlplane.model.sections import Settings
from controlplane.model.settings import SettingsError, Value
from controlplane.sealing import key_path, make_key_file
from controlplane.store.client import Store


def up(
    *,
    data_dir: options.DataDirectory = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address of the gateway and the API. Default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="TCP port of the invoke URLs; 0: a free one. Default: 8080."
        ),
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="TCP port of the API; 0: a free one. Default: 8081."),
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="First admin port of the gateway workers, one each; 0: free ones, for the "
            "autoscaler too. Default: 9090.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Gateway workers; 0: one per core. Default: 0."),
    ] = None,
    store: options.StoreUrl = None,
    allow_volatile_store: Annotated[
        bool | None,
        typer.Option(
            "--allow-volatile-store",
            help="Accept an external store that keeps nothing over its restart.",
        ),
    ] = None,
    config: options.Config = None,
    assignments: options.Assignments = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per event instead of text.")
    ] = False,
) -> None:
    """Run everything on this machine: store, API, autoscaler, gateway. Ctrl-C ends it in order.

    A process that dies is started again. A second Ctrl-C skips the waiting.
    """
    settings, values = load_settings(
        config=config,
        assignments=assignments or (),
        named={
            "up.data_dir": data_dir,
            "gateway.host": host,
            "api.host": host,
            "gateway.port": port,
            "api.port": api_port,
            "gateway.admin_port": admin_port,
            "autoscaler.admin_port": 0 if admin_port == 0 else None,
            "up.workers": workers,
            "store.url": store,
            "store.allow_volatile": allow_volatile_store,
        },
    )
    announce = _announce_json if as_json else _announce_text
    if not run_installation(settings, values, announce=announce):
        raise CliError(
            "`tidegate up` did not start", hint="The lines above and the logs say what went wrong."
        )


def run_installation(settings: Settings, values: list[Value], *, announce: Announce) -> bool:
    """Run an installation until somebody asks it to stop.

    Args:
        settings: The effective settings.
        values: The same, with their sources.
        announce: Gets one call per event.

    Returns:
        Whether it ended on request; False: it could not start, which was announced.

    Raises:
        CliError: Directory, ports or store cannot be used.
    """
    directory = data_directory(settings)
    _check_catalogue(settings)
    wanted = wanted_ports(settings)
    if problem := clashes(wanted):
        raise CliError(problem, code=ExitCode.USAGE)
    with DataDir.claim(directory) as claimed:
        if (stale := read_run(directory)) and (ended := end_leftovers(stale)):
            announce("cleaned", f"ended {len(ended)} processes of a killed run", pids=ended)
        check_free(wanted)
        with held_sockets(settings.gateway, workers=worker_count(settings)) as sockets:
            run = _Run(settings, values, sockets, claimed, announce)
            try:
                return asyncio.run(run.serve())
            finally:
                claimed.remove_run()


def _check_catalogue(settings: Settings) -> None:
    """What is wrong with a file that the API reads is said here, not in a log of it."""
    try:
        read_catalogue(settings.api.bundles_file)
    except SettingsError as exc:
        raise CliError(str(exc), code=ExitCode.USAGE) from exc


class _Run:
    """One run of the supervisor: its children, its run.json, and what it prints."""

    def __init__(
        self,
        settings: Settings,
        values: list[Value],
        sockets: Sockets,
        data_dir: DataDir,
        announce: Announce,
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._addresses = addresses = choose_addresses(settings, sockets)
        self._data_dir = data_dir
        self._announce = announce
        self._started_at = time.time()
        self._children: list[Child] = []
        self._supervisor: Supervisor | None = None
        self._server: StoreChild | None = None
        self._token: str | None = None
        """The owner's, from its making until it has been shown."""
        if settings.store.url:
            self._store_url = settings.store.url
        else:
            self._server = StoreChild(data_dir.path, log_path=data_dir.log_path("store"))
            self._store_url = self._server.url
            self._children.append(self._server)
        specs = process_specs(
            settings=settings,
            values=values,
            addresses=addresses,
            sockets=sockets,
            store_url=self._store_url,
            data_dir=data_dir.path,
            environ=os.environ,
        )
        self._children += [ProcessChild(spec) for spec in specs]

    async def serve(self) -> bool:
        """Supervise until the end; the return value is the supervisor's."""
        self._supervisor = Supervisor(
            self._children,
            announce=self._announce,
            changed=self._write_run,
            stop_timeout_s=self._settings.up.stop_timeout_s,
            # From now on a connection that no worker takes is refused, instead of left waiting.
            stopping=self._sockets.close,
        )
        try:
            return await self._supervisor.run(
                begun=self._begun, store_up=self._check_store, all_ready=self._ready
            )
        finally:
            if self._server:
                await self._server.close()
            if self._token:
                # The start failed after the owner was made: without this nobody could get in.
                self._announce("token", f"owner token: {self._token}", token=self._token)
            self._announce("stopped", "stopped")

    async def _begun(self) -> None:
        self._announce(
            "starting",
            f"Tidegate {__version__} starts in {self._data_dir.path}",
            data_dir=str(self._data_dir.path),
        )

    async def _check_store(self) -> None:
        """Say at once what is wrong with a store that nobody could work with.

        The owner is made here, before anybody reads the store, so that the token works wherever
        it is used the moment that it is shown. The key for credentials is made with it.
        """
        async with self._store() as store:
            if self._make_key() and await store.list(Credential):
                path = key_path(self._settings)
                text = f"{path} is new: stored credentials cannot be opened. Restore the old file."
                self._announce("warning", text)
            self._token = await accounts.ensure_owner(store)

    def _make_key(self) -> bool:
        path = key_path(self._settings)
        try:
            return make_key_file(path)
        except OSError as exc:
            raise CliError(
                f"cannot make the key file {path}: {exc.strerror or exc}",
                hint="Make it with `tidegate credential key`, or name another with"
                " --set api.credentials_key_file=...",
            ) from exc

    async def _ready(self) -> None:
        info, token = self._info(), self._token
        self._token = None
        self._announce(
            "ready",
            ready_text(info, token=token),
            api_url=info.api_url,
            gateway_url=info.gateway_url,
            admin_urls=info.admin_urls,
            autoscaler_admin_url=info.autoscaler_admin_url,
            store_url=info.store_url,
            data_dir=info.data_dir,
            processes=info.processes,
            token=token,
        )

    def _store(self) -> AbstractAsyncContextManager[Store]:
        return open_store(self._settings.store, url=self._store_url, data_dir=self._data_dir.path)

    def _info(self) -> RunInfo:
        supervisor = self._supervisor
        pids = supervisor.processes if supervisor is not None else {}
        rolls = supervisor.rolls if supervisor is not None else Rolls()
        return RunInfo(
            pid=os.getpid(),
            started_at=self._started_at,
            data_dir=str(self._data_dir.path),
            api_url=self._addresses.api_url,
            gateway_url=self._addresses.gateway_url,
            admin_urls=self._addresses.admin_urls,
            store_url=self._store_url,
            autoscaler_admin_url=self._addresses.autoscaler_admin_url,
            ready=supervisor is not None and supervisor.ready,
            rolls_begun=rolls.begun,
            rolls_ended=rolls.ended,
            roll_error=rolls.error,
            processes=pids,
            process_started={name: start_time(pid) for name, pid in pids.items()},
        )

    def _write_run(self) -> None:
        try:
            self._data_dir.write_run(self._info())
        except OSError as exc:
            # What runs goes on running: run.json is how others find it, nothing more.
            problem = unusable(self._data_dir.path, exc)
            self._announce("warning", f"run.json is out of date: {problem.message}")


def ready_text(info: RunInfo, *, token: str | None) -> str:
    """What people see when everything is ready.

    Args:
        info: What runs where.
        token: The owner's token at the first start; None at later ones.
    """
    workers = len(info.admin_urls)
    lines = [
        "ready",
        "",
        f"  API      {info.api_url}/api/v2/",
        f"  Invoke   {info.gateway_url}/api/v2/endpoints/workloads/<id>/"
        f"  ({workers} worker{'s' if workers != 1 else ''})",
        f"  Metrics  {' '.join(f'{base}/metrics' for base in info.admin_urls)}",
        f"  Data     {info.data_dir}  (logs in {info.data_dir}/logs)",
        "",
    ]
    if token:
        lines += [
            "Your owner token, shown this once. Paste into another terminal:",
            "",
            f"  export TIDEGATE_API_URL={shlex.quote(info.api_url)} "
            f"TIDEGATE_TOKEN={shlex.quote(token)}",
        ]
    else:
        lines += [
            "The owner token was shown at the first start; `tidegate token create` makes another:",
            "",
            f"  export TIDEGATE_API_URL={shlex.quote(info.api_url)} TIDEGATE_TOKEN=...",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops everything in order."])


def _announce_text(event: str, text: str, **fields: object) -> None:
    try:
        say(f"{time.strftime('%H:%M:%S')} {text}")
        tail = fields.get("tail")
        for line in tail if isinstance(tail, list) else []:
            say(f"         | {line}")
    except OSError:
        _silence()


def _announce_json(event: str, text: str, **fields: object) -> None:
    try:
        print_json_line({"event": event, "at": time.time(), "message": text, **fields})
    except OSError:
        _silence()


def _silence() -> None:
    """The reader of our output went away: go on without one, and without an error at exit."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives until the end
