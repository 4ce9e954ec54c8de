"""Keeps processes running: starts them in order, restarts what dies, stops them in reverse order.

    start   the store first; everything else at once, each finds the others by retrying
    run     a process that dies is started again after a delay that grows while it keeps dying;
            nobody else is touched
    stop    gateways drain, then the autoscaler, the API, the store: each stage has a bound, after
            which it is killed; a second request to stop skips the waiting

It knows nothing of what the processes do: it sees `Child` and tells what happens to `announce`.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from controlplane.cli.backoff import RestartState, next_restart
from controlplane.cli.children import Child, Stage, StartError
from controlplane.cli.probes import is_ready
from controlplane.cli.rotation import rotate, tail

START_ATTEMPTS: Final = 3
"""Deaths of one process before the whole was ever ready that make the start fail."""
START_TIMEOUT_S: Final = 60.0
"""From the first process to readiness of all."""
HURRY_GRACE_S: Final = 2.0
"""A hurried stop still lets the autoscaler end its replicas and the store close its files."""
_HOUSEKEEPING_S: Final = 5.0
_POLL_S: Final = 1.0
_LATE_WATCH_S: Final = 0.1


class Announce(Protocol):
    """Tells people and machines what happened."""

    def __call__(self, event: str, text: str, **fields: object) -> None:
        """`event` is a stable word, `text` one line for people, `fields` its numbers."""


Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """The hook that does nothing."""


class Supervisor:
    """Owns the children from `run` until it returns.

    Args:
        children: What to run; at most one of stage STORE matters to the order.
        announce: Gets one call per event.
        changed: Called whenever a process id changes or everything became ready.
        stop_timeout_s: Longest time for each stage of an orderly stop.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        announce: Announce,
        changed: Callable[[], None],
        stop_timeout_s: float,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._children = children
        self._announce = announce
        self._changed = changed
        self._stop_timeout_s = stop_timeout_s
        self._start_timeout_s = start_timeout_s
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._deaths = asyncio.Event()
        self._quick_deaths: dict[str, int] = {}
        self._failure: str | None = None
        self.ready = False

    def request_stop(self) -> None:
        """Begin the orderly stop; a second call hurries it."""
        if not self._stopping.is_set():
            self._stopping.set()
        elif not self._hurry.is_set():
            self._announce("hurry", "stopping at once")
            self._hurry.set()

    async def run(self, *, store_up: Hook = _nothing, all_ready: Hook = _nothing) -> bool:
        """Run until asked to stop, or until the start fails.

        Args:
            store_up: Awaited once, when the store runs and before anything else starts.
            all_ready: Awaited once, when everything has become ready.

        Returns:
            Whether it was a stop on request; False: the start failed (already announced).

        Raises:
            Exception: What a hook raised, after everything was stopped.
        """
        with self._signals():
            keepers: dict[str, asyncio.Task[None]] = {}
            chores = [asyncio.create_task(self._housekeeping())]
            try:
                await self._start(keepers, {Stage.STORE: store_up, None: all_ready})
                await self._stopping.wait()
            finally:
                self._stopping.set()
                await self._stop(keepers)
                for task in chores:
                    task.cancel()
                await asyncio.gather(*chores, return_exceptions=True)
        return self._failure is None

    # -- start ---------------------------------------------------------------------------------

    async def _start(
        self, keepers: dict[str, asyncio.Task[None]], hooks: Mapping[Stage | None, Hook]
    ) -> None:
        deadline = asyncio.get_running_loop().time() + self._start_timeout_s
        for stage in (Stage.STORE, None):
            for child in self._children:
                if (child.stage is Stage.STORE) == (stage is Stage.STORE):
                    keepers[child.name] = asyncio.create_task(self._keep(child), name=child.name)
            await self._await_ready(stage, deadline)
            if self._stopping.is_set():
                return
            if stage is None:
                self.ready = True
                self._changed()
            await hooks[stage]()

    async def _await_ready(self, stage: Stage | None, deadline: float) -> None:
        waiting = [c for c in self._children if stage is None or c.stage is stage]
        while waiting and not self._stopping.is_set():
            waiting = [c for c in waiting if not await is_ready(c)]
            if not waiting:
                return
            if asyncio.get_running_loop().time() > deadline:
                names = ", ".join(child.name for child in waiting)
                self._fail(f"not ready after {self._start_timeout_s:g} s: {names}", waiting[0])
                return
            await self._pause(0.05)

    def _fail(self, message: str, child: Child) -> None:
        self._failure = message
        lines = tail(child.log_path, lines=10)
        self._announce("failed", message, process=child.name, log=str(child.log_path), tail=lines)
        self._stopping.set()

    # -- run -----------------------------------------------------------------------------------

    async def _keep(self, child: Child) -> None:
        """One child's life: start, wait, tell, pause, again."""
        state = RestartState()
        restarted = False
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            ending = await self._live(child, restarted=restarted)
            if self._stopping.is_set():
                return
            ran_s = asyncio.get_running_loop().time() - started
            delay_s, state = next_restart(state, ran_s=ran_s)
            self._died(child, ending, delay_s)
            await self._pause(delay_s)
            restarted = True

    async def _live(self, child: Child, *, restarted: bool) -> str:
        try:
            await child.start()
        except (OSError, StartError) as exc:
            return f"could not be started: {exc}"
        if self._stopping.is_set():
            child.signal(signal.SIGTERM)
        pid = child.pid
        self._changed()
        if restarted:
            self._announce("restarted", f"{child.name} runs again", process=child.name, pid=pid)
        ending = await self._ended(child)
        self._changed()
        return ending

    async def _ended(self, child: Child) -> str:
        while (ending := child.poll()) is None:
            self._deaths.clear()
            # The signal tells; the timeout covers children that are not ours to reap.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._deaths.wait()
        return ending

    def _died(self, child: Child, ending: str, delay_s: float) -> None:
        last = tail(child.log_path, lines=1)
        self._announce(
            "died",
            f"{child.name} {ending}; restart in {delay_s:.1f} s (log: {child.log_path})",
            process=child.name,
            ending=ending,
            restart_in_s=delay_s,
            log=str(child.log_path),
            last_line=last[0] if last else "",
        )
        if not self.ready:
            count = self._quick_deaths.get(child.name, 0) + 1
            self._quick_deaths[child.name] = count
            if count >= START_ATTEMPTS:
                self._fail(f"{child.name} {ending}, {count} times", child)

    async def _housekeeping(self) -> None:
        paths = [child.log_path for child in self._children]
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            await asyncio.to_thread(rotate, paths)

    # -- stop ----------------------------------------------------------------------------------

    async def _stop(self, keepers: dict[str, asyncio.Task[None]]) -> None:
        for stage in sorted(Stage, reverse=True):
            group = [c for c in self._children if c.stage is stage and c.name in keepers]
            tasks = [keepers[child.name] for child in group]
            if not tasks:
                continue
            for child in group:
                if child.pid is not None:
                    self._announce("stopping", f"stopping {child.name}", process=child.name)
                    child.signal(signal.SIGTERM)
            await self._end_stage(group, tasks)
            for task in tasks:
                if not task.cancelled() and (error := task.exception()):
                    self._announce("error", f"supervising {task.get_name()}: {error!r}")
        self._changed()

    async def _end_stage(self, group: list[Child], tasks: list[asyncio.Task[None]]) -> None:
        hurried = asyncio.create_task(self._hurry.wait())
        done: asyncio.Task[object] = asyncio.create_task(asyncio.wait(tasks))
        try:
            await asyncio.wait(
                [done, hurried],
                timeout=self._stop_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._hurry.is_set() and not done.done():
                for child in group:
                    child.signal(signal.SIGTERM)
                grace_s = 0.0 if group[0].stage is Stage.GATEWAY else HURRY_GRACE_S
                await asyncio.wait([done], timeout=grace_s)
            for child in group:
                if child.pid is not None:
                    self._announce("killed", f"{child.name} did not stop, killed")
                    child.signal(signal.SIGKILL)
            await asyncio.wait([done], timeout=HURRY_GRACE_S)
        finally:
            hurried.cancel()
            # Only a child whose start hangs is still here.
            for task in tasks:
                task.cancel()
            await asyncio.gather(hurried, done, *tasks, return_exceptions=True)

    # -- signals -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: self.request_stop,
            signal.SIGTERM: self.request_stop,
            signal.SIGCHLD: self._child_ended,
        }
        # `nohup tidegate up` must survive the terminal; otherwise its end is a request to stop.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            handlers[signal.SIGHUP] = self.request_stop
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _child_ended(self) -> None:
        self._deaths.set()
        # The embedded store's own watch looks every 50 ms, so it may not know yet.
        asyncio.get_running_loop().call_later(_LATE_WATCH_S, self._deaths.set)

    async def _pause(self, delay_s: float) -> None:
        """Sleep, but not over a request to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
