"""A Redis or Valkey server on TCP with whatever options a test needs: "somebody else's server"."""

import asyncio
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

from controlplane.store.embedded import find_binary
from tests.fakes.waiting import until


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ExternalServer:
    """One server process; use as an async context manager."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        binary: Path | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            directory: Where it keeps its files.
            options: As on its command line, for example `--requirepass`, `x`.
            binary: None: the embedded one.
            preexec_fn: Runs in the child before the server.
        """
        self.port = free_port()
        self.directory = directory
        self._options = options
        self._binary = binary or find_binary()
        self._preexec_fn = preexec_fn
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, account: str = "", *, scheme: str = "redis", query: str = "") -> str:
        """URL with an account, as in `user:password@`."""
        return f"{scheme}://{account}127.0.0.1:{self.port}{query}"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        port = [] if "--tls-port" in self._options else ["--port", str(self.port)]
        options = [str(self.port) if o == "PORT" else o for o in self._options]
        self.process = subprocess.Popen(  # noqa: ASYNC220 - only forks
            [self._binary, "--bind", "127.0.0.1", "--dir", self.directory, *port, *options],
            stdout=subprocess.DEVNULL,
            preexec_fn=self._preexec_fn,  # noqa: PLW1509 - one call of setrlimit
            restore_signals=False,  # SIGXFSZ stays ignored: a full disk is an error, not a death
        )
        await until(self._listens, what="the server's port")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended: are its options right?"
        with socket.socket() as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"PING\r\n")
                return "--tls-port" in self._options or bool(probe.recv(16))
            except OSError:
                return False
