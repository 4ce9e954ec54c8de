"""Processes and probes that behave, without any process: for reconcilers on virtual time."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from autoscaler.core.replica_sentences import Answer, Outcome
from autoscaler.reconcilers.processes_logs import ReplicaFiles
from controlplane.model.artifacts import Probe

READY = Answer(outcome=Outcome.SUCCESS, status=200)
BUSY = Answer(outcome=Outcome.STATUS, status=503)
NOBODY = Answer(outcome=Outcome.REFUSED, detail="Connection refused")

CRASH_S = 0.01


class FakeProcess:
    """A process group: ends when it is told to, obeys signals unless it is stubborn."""

    def __init__(self, pid: int, on_exit: Callable[[], None], *, stubborn: bool = False) -> None:
        self.pid = pid
        self.started_at = 1000.0 + pid
        self.exited = False
        self.exit_code: int | None = None
        self.signals: list[int] = []
        self.detached = False
        self._on_exit = on_exit
        self._stubborn = stubborn

    def signal(self, number: int) -> None:
        if self.exited:
            return
        self.signals.append(number)
        if number == signal.SIGKILL or not self._stubborn:
            self.exit(-number)

    def exit(self, code: int) -> None:
        """End by itself."""
        self.exited = True
        self.exit_code = code
        self._on_exit()

    def detach(self) -> None:
        self.detached = True


class FakeMachine:
    """Starts fake processes and answers for them; `answer` and `crash` set the next behaviour."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.started_s: list[float] = []
        self.environments: list[Mapping[str, str]] = []
        self.answer = READY
        self.crash: int | None = None
        """Exit code with which every new process ends after `CRASH_S`."""
        self.error: OSError | None = None
        self.stubborn = False
        self.asked = 0

    async def spawn(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        files: ReplicaFiles,
        on_exit: Callable[[], None],
    ) -> FakeProcess:
        loop = asyncio.get_running_loop()
        self.started_s.append(round(loop.time(), 3))
        if self.error is not None:
            raise self.error
        process = FakeProcess(len(self.processes) + 1, on_exit, stubborn=self.stubborn)
        self.processes.append(process)
        self.environments.append(environment)
        if self.crash is not None:
            loop.call_later(CRASH_S, process.exit, self.crash)
        return process

    async def ask(self, probe: Probe, *, host: str, port: int) -> Answer:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer if self.crash is None else NOBODY

    async def accepts(self, *, host: str, port: int, limit_s: float) -> Answer:
        return await self.ask(Probe(path=""), host=host, port=port)

    @property
    def alive(self) -> list[FakeProcess]:
        """Processes that have not ended."""
        return [process for process in self.processes if not process.exited]


class InlineExecutor(ThreadPoolExecutor):
    """Runs what is submitted at once, so that no virtual time passes meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 - the future carries it
            future.set_exception(exc)
        return future
