"""The embedded store as one of the supervisor's children."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from controlplane.cli.children import Stage, StartError, describe_exit
from controlplane.store.embedded import EmbeddedValkey
from controlplane.store.errors import EmbeddedStoreError


class StoreChild:
    """Starts, watches and ends the private Valkey server of a data directory."""

    name = "store"
    stage = Stage.STORE
    ready_url = None
    leaving = False

    def __init__(self, data_dir: Path, *, log_path: Path) -> None:
        self.log_path = log_path
        self._server = EmbeddedValkey(data_dir, log_path=log_path)
        self._watch: asyncio.Task[int] | None = None
        self._serves = False

    @property
    def url(self) -> str:
        """Value of `store.url` for everybody else; the same after every restart."""
        return self._server.url

    @property
    def pid(self) -> int | None:
        """The server's process while it runs."""
        return self._server.pid

    @property
    def started(self) -> bool:
        """Whether it has served since its last start: it may still read its files before."""
        return self._serves

    async def start(self) -> None:
        """Start the server, and wait until it has read its files and serves.

        Raises:
            StartError: It did not come up; the message has the end of its log.
        """
        self._serves = False
        try:
            await self._server.start()
        except EmbeddedStoreError as exc:
            raise StartError(str(exc)) from exc
        self._serves = True
        self._watch = asyncio.create_task(self._server.wait(), name="store-watch")

    def poll(self) -> str | None:
        """How it ended, or None while it runs."""
        if self._watch is None:
            return "was not started"
        return describe_exit(self._watch.result()) if self._watch.done() else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGTERM closes its files in order."""
        if (pid := self._server.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def successor(self) -> None:
        """None: two servers cannot share one directory."""

    def let_go(self) -> None:
        """Nothing to do: the socket is the server's own."""

    async def close(self) -> None:
        """Tidy up after the end: its socket and pid file."""
        await self._server.stop()
        if self._watch is not None:
            await self._watch
