"""Asks one replica once whether it is well: raw asyncio, because there may be a thousand of them.

While a replica starts it is asked up to fifty times a second, nearly always to hear that nobody
listens yet. CPU time of one try in microseconds, on asyncio and on uvloop:

    nobody listens                            130      80
    answered                                  350     170
    answered, httpx2, connection kept       1,000     900
    answered, httpx2, a connection per try  2,400   2,000

The result is known with the status line; the rest of the answer is read and dropped for up to a
second, so that the service does not find its connection reset and fill its log with that.
"""

import asyncio
import re
import ssl
from typing import Final, cast

from autoscaler.core.replica_probes import probe_request
from autoscaler.core.replica_sentences import Answer, Outcome
from controlplane.model.artifacts import Probe

LINGER_S: Final = 1.0
_MAX_LINE_BYTES: Final = 1024
_SHOWN_BYTES: Final = 24
_PREFIX: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")


class ProbeClient:
    """Sends probes. Owns their connections until they are closed."""

    def __init__(self) -> None:
        self._connections: set[_ProbeConnection] = set()
        # The replica's certificate is for its public name, if anything; Kubernetes does not
        # check it either.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    async def ask(self, probe: Probe, *, host: str, port: int) -> Answer:
        """One try of an HTTP probe within its time limit.

        Args:
            probe: What to ask; its own `host` wins.
            host: The replica's address.
            port: The port to probe.
        """
        host = probe.host or host
        request = probe_request(probe, host=host, port=port)
        try:
            async with asyncio.timeout(probe.timeout_s):
                return await self._ask(probe, host, port, request)
        except TimeoutError:
            return Answer(outcome=Outcome.SILENT)

    async def accepts(self, *, host: str, port: int, limit_s: float) -> Answer:
        """Whether the port accepts a TCP connection within `limit_s`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        except OSError as exc:
            return Answer(outcome=Outcome.REFUSED, detail=_words(exc))
        transport.close()
        return Answer(outcome=Outcome.SUCCESS)

    async def close(self) -> None:
        """Close all connections."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed

    async def _ask(self, probe: Probe, host: str, port: int, request: bytes) -> Answer:
        connection = _ProbeConnection(request, self._connections)
        tls = self._tls if probe.scheme.upper() == "HTTPS" else None
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, host, port, ssl=tls
            )
        except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as exc:
            return Answer(outcome=Outcome.TLS if tls else Outcome.CLOSED, detail=_words(exc))
        except OSError as exc:
            return Answer(outcome=Outcome.REFUSED, detail=_words(exc))
        try:
            return await connection.answer
        finally:
            if not connection.answer.done():
                connection.abort()


class _ProbeConnection(asyncio.Protocol):
    """One connection: sends the request, settles `answer` with the status line, drops the rest.

    Called by the event loop only. `answer` is settled exactly once, `closed` with the connection.
    """

    def __init__(self, request: bytes, register: "set[_ProbeConnection]") -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._request = request
        self._register = register
        self._received = b""
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not a check: uvloop's transports are no subclasses.
        self.transport = cast("asyncio.Transport", transport)
        self._register.add(self)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._received += data
        answer = read_status(self._received)
        if answer is not None:
            self._settle(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._register.discard(self)
        if not self.answer.done():
            self.answer.set_result(Answer(outcome=Outcome.CLOSED))
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def _settle(self, answer: Answer) -> None:
        self.answer.set_result(answer)
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER_S, self.abort)


def read_status(received: bytes) -> Answer | None:
    """What the beginning of an answer says; None: more is needed."""
    begins = received[: len(_PREFIX)]
    if not _PREFIX.startswith(begins):
        return _garbage(received)
    if b"\n" not in received:
        return _garbage(received) if len(received) > _MAX_LINE_BYTES else None
    found = _STATUS_LINE.match(received)
    if found is None:
        return _garbage(received)
    status = int(found[1])
    success = status // 100 == 2  # noqa: PLR2004 - 2xx
    return Answer(outcome=Outcome.SUCCESS if success else Outcome.STATUS, status=status)


def _garbage(received: bytes) -> Answer:
    return Answer(outcome=Outcome.GARBAGE, detail=repr(received[:_SHOWN_BYTES]))


def _words(error: OSError) -> str:
    """The system's words for an error: `connection refused`."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS error"
    return error.strerror or str(error) or type(error).__name__
