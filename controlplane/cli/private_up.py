"""A `tidegate up` of one's own: in a directory of its own, on free ports, ended with its owner."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from controlplane.cli.errors import CliError
from controlplane.model.settings import ENV_PREFIX
from controlplane.store.parent_death import die_with_parent

READY_TIMEOUT_S: Final = 60.0
_LINE_LIMIT: Final = 1 << 20


class PrivateUp:
    """Runs `tidegate up --json` as a child. Use it as an async context manager.

    Args:
        data_dir: Where it lives.
        workers: Gateway workers.
        assignments: `section.key=value` texts.
        on_event: Gets every event that it announces.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int,
        assignments: Sequence[str],
        on_event: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._data_dir = data_dir
        self._workers = workers
        self._assignments = assignments
        self._on_event = on_event
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.info: dict[str, Any] = {}
        """The `ready` event: URLs, pids, the owner's token."""
        self.exit_code: int | None = None

    async def __aenter__(self) -> Self:
        command = [sys.executable, "-P", "-m", "controlplane.cli", "up", "--json"]
        command += ["--data-dir", str(self._data_dir), "--workers", str(self._workers)]
        command += ["--port", "0", "--api-port", "0", "--admin-port", "0"]
        for text in self._assignments:
            command += ["--set", text]
        # The caller's own TIDEGATE_* variables are about another installation.
        environ = {k: v for k, v in os.environ.items() if not k.startswith(ENV_PREFIX)}
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT,
            # Ctrl-C is for the owner to handle: it stops this one when it is done with it.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        self._reader = asyncio.create_task(self._read(), name="up-events")
        try:
            await self._await_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> int:
        """Ask it to stop, and wait until everything has ended; returns its exit code."""
        if self._process is None or self._reader is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        self.exit_code = await self._process.wait()
        await self._reader
        return self.exit_code

    async def _await_ready(self) -> None:
        assert self._reader is not None  # noqa: S101 - set by the only caller
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                [ready, self._reader],
                timeout=READY_TIMEOUT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ready.cancel()
        if not self._ready.is_set():
            raise CliError(
                "`tidegate up` did not start", hint=f"Its logs are in {self._data_dir}/logs."
            )

    async def _read(self) -> None:
        assert self._process is not None  # noqa: S101 - set by the only caller
        assert self._process.stdout is not None  # noqa: S101 - asked for
        async for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "output", "message": line.decode("utf-8", "replace").rstrip()}
            if event["event"] == "ready":
                self.info = event
                self._ready.set()
            self._on_event(event)
