"""A whole `tidegate up` for a test: in a directory of its own, on free ports, always ended."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from controlplane.cli.main import main
from controlplane.store.parent_death import die_with_parent
from tests.fakes.ports import replica_ports

DEADLINE_S = 60.0
COMMAND = [sys.executable, "-P", "-m", "controlplane.cli"]


def wait_until(
    condition: Callable[[], Any], *, what: str = "condition", timeout_s: float = DEADLINE_S
) -> Any:
    """Poll until `condition` is true; returns its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
    return value


def clean_environ(**extra: str) -> dict[str, str]:
    """That of an activated virtual environment, as the README has it, without the settings,
    tokens and credentials of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200", **extra}


@dataclass
class Up:
    """One `tidegate up`, from its start to its end."""

    data_dir: Path
    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    """What it announced, in order."""
    output: list[str] = field(default_factory=list)
    """Lines that were not JSON: error messages."""
    reader: threading.Thread | None = None

    # -- what it said ----------------------------------------------------------------------

    def event(self, name: str) -> dict[str, Any] | None:
        """The last event of this name."""
        return next((e for e in reversed(self.events) if e["event"] == name), None)

    def count(self, name: str) -> int:
        """How many events of this name there were."""
        return sum(e["event"] == name for e in self.events)

    def wait_event(self, name: str, *, count: int = 1) -> dict[str, Any]:
        """Wait until there were `count` events of this name."""
        wait_until(lambda: self.count(name) >= count, what=f"{count} x {name}: {self.events}")
        found = self.event(name)
        assert found is not None
        return found

    def wait_ready(self) -> "Up":
        """Wait until it says that it is ready, or has ended."""
        wait_until(lambda: self.event("ready") or self.process.poll() is not None, what="ready")
        assert self.event("ready"), self.tell()
        return self

    def tell(self) -> str:
        """Everything it said, and the ends of its logs: for failing assertions."""
        logs = []
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            logs += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-20:]]
        return "\n".join([*map(str, self.events), *self.output, *logs])

    # -- where it is -----------------------------------------------------------------------

    @property
    def ready(self) -> dict[str, Any]:
        event = self.event("ready")
        assert event is not None
        return event

    @property
    def api_url(self) -> str:
        return str(self.ready["api_url"])

    @property
    def gateway_url(self) -> str:
        return str(self.ready["gateway_url"])

    @property
    def admin_urls(self) -> list[str]:
        return list(self.ready["admin_urls"])

    @property
    def store_url(self) -> str:
        return str(self.ready["store_url"])

    @property
    def token(self) -> str:
        return str(self.ready["token"])

    def run_info(self) -> dict[str, Any]:
        """run.json as it is now."""
        info: dict[str, Any] = json.loads((self.data_dir / "run.json").read_text())
        return info

    @property
    def pids(self) -> dict[str, int]:
        """Name to process id of what runs now."""
        return dict(self.run_info()["processes"])

    # -- what one does with it -------------------------------------------------------------

    def cli(
        self, *arguments: str, code: int | None = 0, stdin: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run another command of ours against it; `code`: the exit code it must have."""
        return self._checked(run_cli(*arguments, stdin=stdin, **self._names(environ)), code)

    def cli_here(
        self, *arguments: str, code: int | None = 0, stdin: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """The same in this process: most of a command's time is the start of an interpreter.

        From the main thread only, and not for commands that turn into another process.
        """
        return self._checked(run_here(*arguments, stdin=stdin, **self._names(environ)), code)

    def _names(self, environ: dict[str, str]) -> dict[str, str]:
        names = {"TIDEGATE_API_URL": self.api_url, "TIDEGATE_UP_DATA_DIR": str(self.data_dir)}
        if self.ready["token"]:
            names["TIDEGATE_TOKEN"] = self.token
        return {**names, **environ}

    def _checked(
        self, done: subprocess.CompletedProcess[str], code: int | None
    ) -> subprocess.CompletedProcess[str]:
        assert code is None or done.returncode == code, (
            f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.tell()}"
        )
        return done

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one of its processes; returns the process id."""
        pid = self.pids[name]
        os.kill(pid, number)
        return pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop in order; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        code = self.process.wait(DEADLINE_S)
        if self.reader:
            self.reader.join(DEADLINE_S)
        return code


def run_cli(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=clean_environ(**environ),
    )


def run_here(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """As `run_cli`, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: Any = 0
    with (
        mock.patch.dict(os.environ, clean_environ(**environ), clear=True),
        mock.patch.object(sys, "argv", ["tidegate", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
        mock.patch.object(sys, "excepthook", sys.excepthook),  # typer sets its own
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exc:
            code = exc.code
    told = []
    for stream in (out, err):
        stream.seek(0)
        told.append(stream.read())
    return subprocess.CompletedProcess(arguments, code or 0, *told)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process that was started for this data directory, replicas included."""
    found = []
    mark = str(data_dir)
    for process in psutil.process_iter():
        try:
            names = process.environ()
            mine = mark in {names.get("TIDEGATE_UP_DATA_DIR"), names.get("TIDEGATE_REPLICA_HOME")}
            mine = mine or any(mark in word for word in process.cmdline())
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def start_up(data_dir: Path, *arguments: str, settings: Sequence[str] = ()) -> Up:
    """Start `tidegate up` on free ports; it is not ready yet."""
    command = [*COMMAND, "up", "--json", "--data-dir", str(data_dir)]
    if "--port" not in arguments:
        command += ["--port", "0", "--api-port", "0", "--admin-port", "0"]
    if "--workers" not in arguments:
        command += ["--workers", "2"]
    first, last = replica_ports()
    ports = [f"autoscaler.replica_port_min={first}", f"autoscaler.replica_port_max={last}"]
    for text in [*ports, *settings]:
        command += ["--set", text]
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environ(),
        start_new_session=True,
        # A test run that is killed leaves nothing behind.
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one prctl call
    )
    up = Up(data_dir=data_dir, process=process)

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                try:
                    up.events.append(json.loads(line))
                except ValueError:
                    up.output.append(line.rstrip())

    up.reader = threading.Thread(target=read, daemon=True)
    up.reader.start()
    return up


@contextmanager
def installation(data_dir: Path, *, settings: Sequence[str] = ()) -> Iterator[Up]:
    """A ready installation; it and whatever it left are ended afterwards."""
    up = start_up(data_dir, settings=settings)
    try:
        yield up.wait_ready()
    finally:
        up.stop()
        for process in processes_of(data_dir):
            process.kill()


UpFactory = Callable[..., Up]


@pytest.fixture
def up_dir() -> Iterator[Path]:
    """A data directory with a short path: a Unix socket's name has 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def tidegate_up(up_dir: Path) -> Iterator[UpFactory]:
    """Starts installations; ends them, and whatever they left, after the test.

    Call it with further arguments of `tidegate up`, `settings=["section.key=value", ...]`,
    `data_dir=` (default: one directory per test), and `ready=False` to not wait.
    """
    started: list[Up] = []

    def factory(
        *arguments: str,
        settings: Sequence[str] = (),
        data_dir: Path | None = None,
        ready: bool = True,
    ) -> Up:
        up = start_up(data_dir or up_dir, *arguments, settings=settings)
        started.append(up)
        return up.wait_ready() if ready else up

    try:
        yield factory
    finally:
        for up in started:
            try:
                up.stop()
            except subprocess.TimeoutExpired:
                up.process.kill()
                up.wait()
        for up in started:
            for process in processes_of(up.data_dir):
                process.kill()
