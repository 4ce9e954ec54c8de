"""One process group: start it or find it again, hear of its end at once, signal it.

A replica leads a session and process group of its own, so a signal reaches its helpers, too, and
Ctrl-C in the terminal of `tidegate up` reaches none of them. The end of the leader is heard
through a pidfd, which works the same for children and for adopted processes; where the kernel has
none (before Linux 5.3, macOS) a timer looks every 100 ms.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import psutil

from autoscaler.reconcilers.processes_logs import ReplicaFiles

POLL_S: Final = 0.1


class ProcessGroup(Protocol):
    """A running replica, as its runner sees it."""

    @property
    def pid(self) -> int:
        """Process id of the leader; also the id of its group and session."""

    @property
    def started_at(self) -> float:
        """Start time as the kernel knows it, epoch seconds."""

    @property
    def exited(self) -> bool:
        """Whether the leader has ended (and been collected)."""

    @property
    def exit_code(self) -> int | None:
        """Exit code; negative: the signal that ended it; None: unknown or not ended."""

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; harmless after the end."""

    def detach(self) -> None:
        """Stop watching; the processes live on."""


class LocalProcessGroup:
    """A process group on this machine.

    Called on the event loop only. `on_exit` is called once, after the leader was collected and
    the rest of its group was killed.
    """

    def __init__(
        self, pid: int, child: subprocess.Popen[bytes] | None, on_exit: Callable[[], None]
    ) -> None:
        """Watch a process.

        Raises:
            ProcessLookupError: It is gone already and never was our child.
        """
        self.pid = pid
        self.exited = False
        self.exit_code: int | None = None
        self._child = child
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._pidfd = _open_pidfd(pid)
        self.started_at = _start_time(pid)
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._ended)
        else:
            self._timer = self._loop.call_later(POLL_S, self._poll)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; harmless after the end."""
        if not self.exited:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def detach(self) -> None:
        """Stop watching; the processes live on."""
        self._unwatch()
        if self._child is not None and self._child.returncode is None:
            # Popen would warn about a child that still runs: here that is the purpose.
            self._child.returncode = 0

    def _poll(self) -> None:
        if _is_running(self.pid):
            self._timer = self._loop.call_later(POLL_S, self._poll)
        else:
            self._ended()

    def _ended(self) -> None:
        self._unwatch()
        # Before collecting the leader: until then its id cannot belong to anybody else.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._child is not None:
            self.exit_code = self._child.wait()
        self.exited = True
        self._on_exit()

    def _unwatch(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    files: ReplicaFiles,
    on_exit: Callable[[], None],
) -> LocalProcessGroup:
    """Start a replica.

    Args:
        argv: Command and arguments; the command is looked up in the new environment's PATH.
        environment: The whole environment.
        files: Its working directory and output.
        on_exit: Called once when it has ended.

    Raises:
        OSError: The command cannot be executed, or the system has no room for one more.
    """
    child = await asyncio.to_thread(_start, argv, environment, files)
    return LocalProcessGroup(child.pid, child, on_exit)


def _start(
    argv: Sequence[str], environment: Mapping[str, str], files: ReplicaFiles
) -> subprocess.Popen[bytes]:
    files.prepare()
    output = files.open_output()
    try:
        # The owner's command is what this product is for; no shell is involved.
        return subprocess.Popen(  # noqa: S603
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=files.work,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(output)


def _open_pidfd(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        # ENOSYS before Linux 5.3, EPERM under some container filters, EMFILE.
        return None


def _start_time(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        # Gone within microseconds: the watch will say so.
        return 0.0


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
