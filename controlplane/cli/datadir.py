"""The data directory of one installation: who owns it, and what runs in it.

tidegate.lock   locked by the running supervisor, with the kernel's file lock: gone when it dies
run.json        what runs now; left over when the supervisor was killed
store/          the embedded Valkey's files
logs/           one file per process, `<name>.log`, and one older `<name>.log.1`
replicas/       one directory per replica
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

import msgspec
import psutil

from controlplane.cli.errors import CliError

RUN_FILE = "run.json"
LOCK_FILE = "tidegate.lock"
# The kernel's start times and ours are rounded differently; a pid is not reused this fast.
_SAME_START_S = 2.0


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The content of run.json."""

    pid: int
    """The supervisor."""
    started_at: float
    """Epoch seconds."""
    data_dir: str
    api_url: str
    gateway_url: str
    admin_urls: list[str]
    """One per gateway worker, by worker index: /livez, /readyz, /metrics."""
    store_url: str
    autoscaler_admin_url: str | None = None
    ready: bool = False
    """Whether everything has been ready once since the start."""
    processes: dict[str, int] = {}
    """Name to process id of everything that runs now."""
    rolls_begun: int = 0
    rolls_ended: int = 0
    """How often the gateway workers have been replaced."""
    roll_error: str = ""
    """What was wrong with the last time; empty: nothing."""
    process_started: dict[str, float] = {}
    """Name to the kernel's start time of the process, epoch seconds: tells a reused pid."""


class DataDir:
    """An open, locked data directory. Use it as a context manager."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def claim(cls, path: Path) -> Self:
        """Create the directory where needed, and lock it.

        Raises:
            CliError: It cannot be written, or another supervisor owns it.
        """
        try:
            # 0700: the store's socket inside has no password, and replicas' logs are private.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (path / "logs").mkdir(exist_ok=True)
            lock = (path / LOCK_FILE).open("a+", encoding="utf-8")
        except OSError as exc:
            raise unusable(path, exc) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            lock.close()
            if exc.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise _taken(path) from exc
            raise unusable(path, exc) from exc
        return cls(path, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def log_path(self, name: str) -> Path:
        """Log file of a process."""
        return self.path / "logs" / f"{name}.log"

    def write_run(self, info: RunInfo) -> None:
        """Replace run.json, whole or not at all.

        Raises:
            OSError: Disk full, most likely.
        """
        target = self.path / RUN_FILE
        draft = target.with_name(f".{RUN_FILE}.{os.getpid()}")
        try:
            # 0600: the store's URL may hold a password.
            draft.touch(mode=0o600)
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")
            draft.replace(target)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def remove_run(self) -> None:
        """Forget run.json at an orderly end."""
        (self.path / RUN_FILE).unlink(missing_ok=True)


def read_run(path: Path) -> RunInfo | None:
    """What run.json says, true or left over; None when there is none that can be read."""
    try:
        return msgspec.json.decode((path / RUN_FILE).read_bytes(), type=RunInfo)
    except (OSError, msgspec.DecodeError):
        return None


def running(path: Path) -> RunInfo | None:
    """run.json of a supervisor that is alive now; None otherwise."""
    try:
        with (path / LOCK_FILE).open("r", encoding="utf-8") as lock:
            # Shared, so that two readers do not take each other for the supervisor.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_run(path)
    except OSError:
        return None
    return None


def leftovers(info: RunInfo) -> list[psutil.Process]:
    """Processes of an earlier run that outlived its supervisor."""
    found = []
    for name, pid in info.processes.items():
        try:
            process = psutil.Process(pid)
            drift_s = abs(process.create_time() - info.process_started.get(name, 0.0))
        except psutil.Error:
            continue
        if drift_s <= _SAME_START_S:
            found.append(process)
    return found


def end_leftovers(info: RunInfo, *, grace_s: float = 3.0) -> list[int]:
    """End what outlived a killed supervisor, so that its ports and files are free.

    Args:
        info: The stale run.json.
        grace_s: From the termination request to the kill.

    Returns:
        The process ids that were found.
    """
    found = leftovers(info)
    for process in found:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(found, timeout=grace_s)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=grace_s)
    return [process.pid for process in found]


def start_time(pid: int) -> float:
    """The kernel's start time of a process, epoch seconds; 0 when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def unusable(path: Path, exc: OSError) -> CliError:
    """The data directory cannot be used; says why and what to do."""
    if exc.errno == errno.ENOSPC:
        return CliError(
            f"no space left for the data directory {path}",
            hint="Free some space, or choose a directory on another disk with --data-dir.",
        )
    return CliError(
        f"cannot use the data directory {path}: {exc.strerror or exc}",
        hint="Choose a directory that you may write to with --data-dir.",
    )


def _taken(path: Path) -> CliError:
    info = read_run(path)
    who = f" (pid {info.pid}, API {info.api_url})" if info else ""
    stop = f"Stop it with `kill {info.pid}`" if info else "Stop it"
    return CliError(
        f"another `tidegate up`{who} already runs with the data directory {path}",
        hint=f"{stop}, or start this one with another --data-dir.",
    )


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.Error:
        return
