"""Keeps processes running: starts them in order, restarts what dies, stops them in reverse order.

    start   the store first; everything else at once, each finds the others by retrying
    run     a process that dies is started again after a delay that grows while it keeps dying;
            nobody else is touched
    roll    gateways are replaced one after the other: a successor starts on the same sockets, and
            when it is ready the old one is told (SIGUSR1) to finish; one that somebody else told
            to end gets its successor at once
    stop    gateways drain, then the autoscaler, the API, the store: each stage has a bound, after
            which it is killed; a second request to stop skips the waiting

It knows nothing of what the processes do: it sees `Child` and tells what happens to `announce`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controlplane.cli.backoff import RestartState, next_restart
from controlplane.cli.children import Announce, Child, Stage, StartError
from controlplane.cli.probes import is_ready
from controlplane.cli.rotation import rotate, tail
from controlplane.cli.stopping import end_stage

START_ATTEMPTS: Final = 3
"""Deaths of one process before the whole was ever ready that make the start fail."""
START_TIMEOUT_S: Final = 60.0
"""From the first process to readiness of all."""
_SHORT_S: Final = 1.0
"""A delay over which connections may wait for the next process on their socket."""
_HOUSEKEEPING_S: Final = 5.0
_POLL_S: Final = 1.0
_LATE_WATCH_S: Final = 0.1


Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolls:
    """How often the gateways have been replaced."""

    begun: int = 0
    ended: int = 0
    error: str = ""
    """What was wrong with the last one; empty: nothing."""


async def _nothing() -> None:
    """The hook that does nothing."""


class Supervisor:
    """Owns the children from `run` until it returns.

    Args:
        children: What to run; at most one of stage STORE matters to the order.
        announce: Gets one call per event.
        changed: Called whenever a process id changes, everything became ready, or a roll ended.
        stop_timeout_s: Longest time for each stage of an orderly stop.
        start_timeout_s: Longest time from the first start to readiness, and for each successor.
        stopping: Called when the stop begins, before anybody is told.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        announce: Announce,
        changed: Callable[[], None],
        stop_timeout_s: float,
        start_timeout_s: float = START_TIMEOUT_S,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = {child.name: child for child in children}
        """The present one of each name; `_keepers` has those that are leaving too."""
        self._keepers: dict[Child, asyncio.Task[None]] = {}
        self._close = stopping
        self._announce = announce
        self._changed = changed
        self._stop_timeout_s = stop_timeout_s
        self._start_timeout_s = start_timeout_s
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._deaths = asyncio.Event()
        self._quick_deaths: dict[str, int] = {}
        self._failure: str | None = None
        self._roll_wanted = asyncio.Event()
        self.ready = False
        self.rolls = Rolls()

    @property
    def processes(self) -> dict[str, int]:
        """Name to process id of everything that runs; of those that leave the name has both."""
        found = {name: pid for name, child in self._children.items() if (pid := child.pid)}
        for child in self._keepers:
            if self._retired(child) and (pid := child.pid):
                found[f"{child.name}.{pid}"] = pid
        return found

    def request_roll(self) -> None:
        """Replace the gateways. Asked again during a roll: once more after it."""
        self._roll_wanted.set()

    def request_stop(self) -> None:
        """Begin the orderly stop; a second call hurries it."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._roll_wanted.set()
        elif not self._hurry.is_set():
            self._announce("hurry", "stopping at once")
            self._hurry.set()

    async def run(
        self, *, begun: Hook = _nothing, store_up: Hook = _nothing, all_ready: Hook = _nothing
    ) -> bool:
        """Run until asked to stop, or until the start fails.

        Args:
            begun: Awaited once, when signals are heard and before anything starts.
            store_up: Awaited once, when the store runs and before anything else starts.
            all_ready: Awaited once, when everything has become ready.

        Returns:
            Whether it was a stop on request; False: the start failed (already announced).

        Raises:
            Exception: What a hook raised, after everything was stopped.
        """
        with self._signals():
            chores = [asyncio.create_task(self._housekeeping())]
            rolling = asyncio.create_task(self._rolling())
            try:
                await begun()
                await self._start({Stage.STORE: store_up, None: all_ready})
                await self._stopping.wait()
            finally:
                self._stopping.set()
                self._roll_wanted.set()
                self._close()
                await rolling
                await self._stop()
                for task in chores:
                    task.cancel()
                await asyncio.gather(*chores, return_exceptions=True)
        return self._failure is None

    # -- start ---------------------------------------------------------------------------------

    async def _start(self, hooks: Mapping[Stage | None, Hook]) -> None:
        deadline = asyncio.get_running_loop().time() + self._start_timeout_s
        for stage in (Stage.STORE, None):
            for child in list(self._children.values()):
                if (child.stage is Stage.STORE) == (stage is Stage.STORE):
                    self._begin(child)
            await self._await_ready(stage, deadline)
            if self._stopping.is_set():
                return
            if stage is None:
                self.ready = True
                self._changed()
            await hooks[stage]()

    async def _await_ready(self, stage: Stage | None, deadline: float) -> None:
        waiting = [c.name for c in self._children.values() if stage is None or c.stage is stage]
        while waiting and not self._stopping.is_set():
            waiting = [name for name in waiting if not await is_ready(self._children[name])]
            if not waiting:
                return
            if asyncio.get_running_loop().time() > deadline:
                message = f"not ready after {self._start_timeout_s:g} s: {', '.join(waiting)}"
                self._fail(message, self._children[waiting[0]])
                return
            await self._pause(0.05)

    def _fail(self, message: str, child: Child) -> None:
        self._failure = message
        lines = tail(child.log_path, lines=10)
        self._announce("failed", message, process=child.name, log=str(child.log_path), tail=lines)
        self._stopping.set()

    # -- run -----------------------------------------------------------------------------------

    def _begin(self, child: Child, *, running: bool = False) -> None:
        """Keep a child from now on, as the present one of its name."""
        self._children[child.name] = child
        task = asyncio.create_task(self._keep(child, running=running), name=child.name)
        self._keepers[child] = task

    def _retired(self, child: Child) -> bool:
        """Whether another one has taken its place: it is not started again."""
        return self._children[child.name] is not child

    async def _keep(self, child: Child, *, running: bool) -> None:
        """One child's life: start, wait, tell, pause, again; until it is replaced.

        One that runs already is waited for, even if the stop began before this had its turn.
        """
        state = RestartState()
        restarted = False
        while running or not (self._stopping.is_set() or self._retired(child)):
            started = asyncio.get_running_loop().time()
            ending = await self._live(child, running=running, restarted=restarted)
            if self._stopping.is_set() or self._retired(child):
                break
            running = False
            ran_s = asyncio.get_running_loop().time() - started
            delay_s, state = next_restart(state, ran_s=ran_s)
            self._died(child, ending, delay_s)
            if delay_s > _SHORT_S:
                child.let_go()
            await self._pause(delay_s)
            restarted = True
        if not self._stopping.is_set():
            del self._keepers[child]
            self._changed()

    async def _live(self, child: Child, *, running: bool, restarted: bool) -> str:
        if not running:
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
            if child.leaving and not (self._stopping.is_set() or self._retired(child)):
                self._replace_leaving(child)
            # The signal tells; the timeout covers children that are not ours to reap.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._deaths.wait()
        return ending

    def _replace_leaving(self, child: Child) -> None:
        """Somebody told it to end: its sockets wait for another one."""
        new = child.successor()
        if new is not None:
            text = f"{child.name} was told to end: another one starts"
            self._announce("left", text, process=child.name, pid=child.pid)
            self._begin(new)

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
        paths = [child.log_path for child in self._children.values()]
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            await asyncio.to_thread(rotate, paths)

    # -- roll ----------------------------------------------------------------------------------

    async def _rolling(self) -> None:
        while True:
            await self._roll_wanted.wait()
            self._roll_wanted.clear()
            if self._stopping.is_set():
                return
            if self.ready:
                await self._roll()

    async def _roll(self) -> None:
        began_s = asyncio.get_running_loop().time()
        self.rolls = replace(self.rolls, begun=self.rolls.begun + 1)
        self._changed()  # at once: whoever asks for another roll must not take this one for theirs
        self._announce("rolling", "replacing the gateway workers one after the other")
        error = ""
        for name, child in list(self._children.items()):
            new = child.successor()
            if new is None:
                continue
            problem = await self._take_over(new)
            if self._stopping.is_set():
                return
            if problem:
                error = f"{name} stays as it is, its successor {problem}"
                last = tail(new.log_path, lines=10)
                log = str(new.log_path)
                self._announce("roll_failed", error, process=name, log=log, tail=last)
                break
        self.rolls = replace(self.rolls, ended=self.rolls.ended + 1, error=error)
        if not error:
            took_s = asyncio.get_running_loop().time() - began_s
            self._announce("rolled", f"replaced in {took_s:.1f} s; the old workers finish")
        self._changed()

    async def _take_over(self, new: Child) -> str:
        """Start a successor, and let it take its place when it is ready.

        Returns:
            What went wrong, as the end of a sentence; empty: nothing.
        """
        deadline = asyncio.get_running_loop().time() + self._start_timeout_s
        try:
            await new.start()
        except (OSError, StartError) as exc:
            return f"could not be started: {exc}"
        while not await is_ready(new):
            if (ending := new.poll()) is not None:
                return ending
            if self._stopping.is_set() or asyncio.get_running_loop().time() > deadline:
                new.signal(signal.SIGKILL)
                await self._ended(new)
                return f"was not ready after {self._start_timeout_s:g} s"
            await self._pause(0.05)
        old = self._children[new.name]
        pid = old.pid
        self._begin(new, running=True)
        old.signal(signal.SIGUSR1)
        text = f"{new.name} is replaced"
        self._announce("replaced", text, process=new.name, pid=new.pid, old_pid=pid)
        return ""

    # -- stop ----------------------------------------------------------------------------------

    async def _stop(self) -> None:
        for stage in sorted(Stage, reverse=True):
            group = [child for child in self._keepers if child.stage is stage]
            tasks = [self._keepers[child] for child in group]
            if not tasks:
                continue
            for child in group:
                if child.pid is not None:
                    self._announce("stopping", f"stopping {child.name}", process=child.name)
                    child.signal(signal.SIGTERM)
            await end_stage(
                group,
                tasks,
                timeout_s=self._stop_timeout_s,
                hurry=self._hurry,
                announce=self._announce,
            )
            for task in tasks:
                if not task.cancelled() and (error := task.exception()):
                    self._announce("error", f"supervising {task.get_name()}: {error!r}")
        self._changed()

    # -- signals -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: self.request_stop,
            signal.SIGTERM: self.request_stop,
            signal.SIGUSR1: self.request_roll,
            signal.SIGCHLD: self._child_ended,
        }
        # `nohup tidegate up` must survive the terminal; otherwise its end is a request to stop.
        # Without a terminal it is what service managers send for `reload`.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            on_terminal = os.isatty(0)
            handlers[signal.SIGHUP] = self.request_stop if on_terminal else self.request_roll
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
