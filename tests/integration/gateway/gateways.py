"""Gateway workers under test: in this process or in one of their own."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from controlplane.model.sections import Settings
from gateway.net.server import GatewayServer
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import DEADLINE_S


class _Listening(logging.Handler):
    """Hears where a gateway in this process listens."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "listening" and not self.said.done():
            self.said.set_result(vars(record))


class _Errors(logging.Handler):
    """Keeps what is logged as an error: exceptions in callbacks end there, and nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@contextlib.contextmanager
def no_errors() -> Iterator[None]:
    """Fail when anything of ours, or the event loop, logs an error."""
    errors = _Errors()
    loggers = [logging.getLogger(name) for name in ("asyncio", "gateway", "controlplane")]
    for logger in loggers:
        logger.addHandler(errors)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(errors)
    assert not errors.texts, "\n".join(errors.texts)


class Gateway:
    """A gateway worker, wherever it runs."""

    port = 0
    tls_port = 0
    admin_port = 0

    def _listens(self, said: dict[str, Any]) -> None:
        """Take over where it listens from its log line."""
        self.port, self.admin_port = said["port"], said["admin_port"]
        self.tls_port = said.get("tls_port", 0)

    async def stop(self) -> None:
        raise NotImplementedError

    async def admin(self, path: str) -> tuple[int, str]:
        """One request to the admin port."""
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()

    async def metrics(self) -> dict[str, float]:
        """Samples by name; of labels only `class`, `code` and `state` are kept, others add up."""
        _, text = await self.admin("/metrics")
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if "le" in sample.labels:
                    continue
                kept = [sample.labels[k] for k in ("class", "code", "state") if k in sample.labels]
                name = f"{sample.name}{{{','.join(kept)}}}" if kept else sample.name
                found[name] = found.get(name, 0) + sample.value
        return found


class InProcess(Gateway):
    """In the test's own event loop."""

    def __init__(self, settings: Settings) -> None:
        self._server = GatewayServer(settings)
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        logger = logging.getLogger("gateway.net.server")
        heard = _Listening()
        level = logger.level
        logger.addHandler(heard)
        logger.setLevel(logging.INFO)
        try:
            self.task = asyncio.create_task(self._server.run())
            await asyncio.wait([self.task, heard.said], return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                task, self.task = self.task, None
                await task
            self._listens(heard.said.result())
        finally:
            logger.removeHandler(heard)
            logger.setLevel(level)

    def request_stop(self) -> None:
        self._server.request_stop()

    async def stop(self) -> None:
        if self.task is None:
            return
        task, self.task = self.task, None
        self._server.request_stop()
        if not task.done():
            self._server.request_stop()
        async with asyncio.timeout(DEADLINE_S):
            await task


class ChildGateway(Gateway):
    """`python -m gateway`."""

    def __init__(self, settings: dict[str, Any], store_url: str, directory: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
        environ |= {f"TIDEGATE_GATEWAY_{k.upper()}": str(v) for k, v in settings.items()}
        environ |= {"TIDEGATE_STORE_URL": store_url, "TIDEGATE_LOG_FORMAT": "json"}
        self.errors = directory / "gateway.stderr"
        self.output = directory / "gateway.stdout"
        with self.errors.open("wb") as errors, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=environ,
            )

    def said(self, message: str) -> dict[str, Any] | None:
        """The log line with this message."""
        for line in self.errors.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(line)
                if found.get("message") == message:
                    return found
        return None

    async def start(self) -> None:
        await until(lambda: self.said("listening") or self.process.poll() is not None)
        listening = self.said("listening")
        assert listening is not None, self.errors.read_text()
        self._listens(listening)

    async def exit_code(self) -> int:
        """Wait for the end."""
        await until(lambda: self.process.poll() is not None)
        code = self.process.returncode
        assert code is not None
        return code

    async def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.terminate()
            try:
                await self.exit_code()
            except TimeoutError:
                self.process.kill()
                self.process.wait()
        assert "Traceback" not in self.errors.read_text(), self.errors.read_text()
