"""`tidegate logs --local`: the log files of a workload's replicas, on the machine of `up`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import say, warn
from controlplane.cli.settings import data_directory
from controlplane.cli.stores import open_store, store_url
from controlplane.model.sections import Settings
from controlplane.model.workloads import Replica, Scale, Workload
from controlplane.store.client import Store

POLL_S = 0.3
_SHORT_ID = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One replica's log."""

    replica_id: str
    path: Path
    running: bool


def print_files(
    settings: Settings,
    name_or_id: str,
    *,
    follow: bool,
    lines: int,
    prefix: bool,
    ended: bool,
) -> None:
    """Print what is in the log files of this machine.

    Args:
        settings: Of the installation.
        name_or_id: The workload.
        follow: Go on with what is added, new replicas included.
        lines: Last lines of each replica.
        prefix: Begin every line with its replica's id.
        ended: Also replicas that have ended. Without a running one, the last is shown anyway.
    """
    directory = data_directory(settings)

    async def run() -> None:
        url = store_url(settings.store, directory)
        async with open_store(settings.store, url=url, data_dir=directory) as held:
            found = await find_workload(held, name_or_id)
            printer = _Printer(directory, found.id, prefix=prefix, ended=ended)
            printed = await printer.print_tail(held, lines)
            if not printed and not follow:
                await _print_kept_tail(held, found)
            while follow:
                await asyncio.sleep(POLL_S)
                await printer.print_new(held)

    asyncio.run(run())


async def find_workload(store: Store, name_or_id: str) -> Workload:
    """A workload in the store by id or by name.

    Raises:
        CliError: None has it (exit code 3), or several do.
    """
    held = [entry.record for entry in await store.list(Workload)]
    present = [record for record in held if record.deleted_at is None]
    matches = [record for record in present if record.id == name_or_id]
    matches = matches or [record for record in present if record.name == name_or_id]
    if not matches:
        raise CliError(
            f"no workload is called {name_or_id!r}, and none has it as its id",
            hint="`tidegate workload list` shows all.",
            code=ExitCode.NOT_FOUND,
        )
    if len(matches) > 1:
        ids = "\n".join(f"  {record.id}" for record in matches)
        raise CliError(
            f"{len(matches)} workloads are called {name_or_id!r}", hint=f"Give an id:\n{ids}"
        )
    return matches[0]


def find_sources(
    data_dir: Path, workload_id: str, replicas: Sequence[Replica], *, ended: bool
) -> list[Source]:
    """Log files of a workload, oldest replica first.

    Args:
        data_dir: Where ended replicas' files are kept.
        workload_id: Whose.
        replicas: The records of what runs.
        ended: Whether to include replicas that have ended; without any record, the last one
            that ended is included all the same.
    """
    running = {
        replica.id: Source(replica_id=replica.id, path=Path(replica.log_path), running=True)
        for replica in replicas
        if replica.workload_id == workload_id and replica.log_path
    }
    kept = data_dir / "replicas" / workload_id
    try:
        # Object ids begin with their time: by name is by age.
        names = sorted(path.name for path in kept.iterdir() if path.name not in running)
    except OSError:
        names = []
    if not ended:
        names = names[-1:] if not running else []
    past = [
        Source(replica_id=name, path=kept / name / "output.log", running=False) for name in names
    ]
    return past + [running[replica_id] for replica_id in sorted(running)]


class LogReader:
    """Reads a file that grows, and that is cut to zero when it is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._partial = b""

    def tail(self, lines: int) -> list[str]:
        """The last lines there are now, the rotated part included; later reads go on from here."""
        older = _bytes(self._path.with_name(self._path.name + ".1"))
        present = _bytes(self._path)
        self._offset = len(present)
        whole = (older + present).decode("utf-8", "replace").splitlines()
        return whole[-lines:] if lines else []

    def read_new(self) -> list[str]:
        """Whole lines that were added since the last call."""
        try:
            with self._path.open("rb") as file:
                if self._path.stat().st_size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return []
        self._offset += len(added)
        *whole, self._partial = (self._partial + added).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


class _Printer:
    """Prints the lines of all replicas of one workload."""

    def __init__(self, data_dir: Path, workload_id: str, *, prefix: bool, ended: bool) -> None:
        self._data_dir = data_dir
        self._workload_id = workload_id
        self._prefix = prefix
        self._ended = ended
        self._readers: dict[str, LogReader] = {}

    async def print_tail(self, store: Store, lines: int) -> int:
        """Print the last lines of every replica; returns how many there were."""
        count = 0
        for source in await self._sources(store, ended=self._ended):
            reader = self._readers[source.replica_id] = LogReader(source.path)
            found = reader.tail(lines)
            if found and not source.running and not self._ended:
                warn(f"no replica runs; this is what {source.replica_id} wrote before it ended:")
            self._print(source.replica_id, found)
            count += len(found)
        return count

    async def print_new(self, store: Store) -> None:
        """Print what was added, by new replicas too."""
        for source in await self._sources(store, ended=False):
            self._readers.setdefault(source.replica_id, LogReader(source.path))
        for replica_id, reader in self._readers.items():
            self._print(replica_id, reader.read_new())

    async def _sources(self, store: Store, *, ended: bool) -> list[Source]:
        replicas = [entry.record for entry in await store.list(Replica)]
        return find_sources(self._data_dir, self._workload_id, replicas, ended=ended)

    def _print(self, replica_id: str, lines: Sequence[str]) -> None:
        # The last digits tell replicas apart: ids begin with their time.
        mark = f"{replica_id[-_SHORT_ID:]}  " if self._prefix else ""
        for line in lines:
            say(f"{mark}{line}")


async def _print_kept_tail(store: Store, workload: Workload) -> None:
    """Without any file: the last lines that the autoscaler kept of a failed start."""
    scale = None
    if workload.active_proton_id:
        scale = await store.get(Scale, workload.active_proton_id)
    if scale is None or not scale.record.log_tail:
        warn(f"no replica of {workload.name} has written anything here")
        return
    for line in scale.record.log_tail:
        say(line)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
