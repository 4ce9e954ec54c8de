"""TLS: contexts made from the settings, and a listener that shakes hands in bounded numbers."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from controlplane.model.sections import GatewaySettings
from gateway.net.worker import Worker

log = logging.getLogger(__name__)

HANDSHAKES: Final = 256
"""Handshakes under way at once. Each costs some 40 KiB and, at its end, about a millisecond of
CPU time: more of them at once would only make all of them late."""

_LOOK_S: Final = 3.0
"""How often the certificate's files are looked at."""

_SHUTDOWN_S: Final = 3.0
"""How long a client may take to say that it has seen the end; many never do."""

_ACCEPTS: Final = 64
"""Connections accepted in one turn of the loop: requests have their turns between."""

_RETRY_S: Final = 0.1
"""Without a descriptor left, accepting would fail at once again and again."""


def server_context(settings: GatewaySettings) -> ssl.SSLContext:
    """What the TLS listener speaks: TLS 1.2 and 1.3, HTTP/1.1.

    Raises:
        OSError: A file cannot be read, is no PEM, or certificate and key do not belong together;
            the message names the setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    files = settings.tls_cert_file or "", settings.tls_key_file
    with _naming("tls_cert_file", " and ".join(filter(None, files))):
        # A password would be asked for on the terminal, by a process that has none.
        context.load_cert_chain(*files, password=_no_password)
    if settings.tls_client_ca_file:
        with _naming("tls_client_ca_file", settings.tls_client_ca_file):
            context.load_verify_locations(settings.tls_client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def upstream_context(ca_file: str | None) -> ssl.SSLContext:
    """What is spoken to replicas.

    Args:
        ca_file: Whose certificates are accepted, whatever their name: a replica's address is
            nothing that a certificate could be made for. None: any certificate.

    Raises:
        OSError: The file cannot be read, or is no PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if ca_file:
        with _naming("upstream_ca_file", ca_file):
            context.load_verify_locations(ca_file)
    else:
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def reason(exc: OSError) -> str:
    """An error of OpenSSL or the system in few words."""
    if isinstance(exc, ssl.SSLError):
        return exc.reason or str(exc)
    return exc.strerror or str(exc) or type(exc).__name__


def _no_password() -> str:
    raise ssl.SSLError("the key has a password: store it without one, readable only by its owner")


@contextlib.contextmanager
def _naming(setting: str, files: str) -> Iterator[None]:
    """Errors that say which setting is wrong: OpenSSL's do not even name the file."""
    try:
        yield
    except OSError as exc:
        raise OSError(f"gateway.{setting} {files}: {reason(exc)}") from exc


class TlsListener:
    """Accepts on one socket and shakes hands; then connections are like any others.

        accepted ──▶ handshake (a task) ──▶ the protocol's connection_made
                         │ failed, too slow, or the oldest of too many
                         ▼
                       closed, counted

    A connection costs no more than its handshake until it has passed it, and of those there are
    `HANDSHAKES` at most. Beyond that the oldest is dropped: an honest client is done within a few
    round trips, so it is most likely not one. The certificate's files are watched; new
    connections get the newest that could be read.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        factory: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
        worker: Worker,
    ) -> None:
        """Read the certificate; `open` begins to accept.

        Raises:
            OSError: The certificate cannot be used.
        """
        self.sock = sock
        self._factory = factory
        self._loop = loop
        self._worker = worker
        self._settings = worker.settings
        self._seen = self._files()
        self._context = server_context(self._settings)
        self._handshakes: OrderedDict[asyncio.Task[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    def open(self) -> None:
        """Begin to accept."""
        self._loop.add_reader(self.sock.fileno(), self._accept, _ACCEPTS)
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def close(self) -> None:
        """Accept what waits in the queue, then no more. Handshakes go on."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self.sock.fileno())
        self._accept(None)
        self.sock.close()

    def abort(self) -> None:
        """Give up the handshakes that are left."""
        for task in self._handshakes:
            task.cancel()

    def reload(self) -> None:
        """Read the certificate again; a bad one changes nothing."""
        self._seen = self._files()
        try:
            self._context = server_context(self._settings)
        except OSError as exc:
            log.error(  # noqa: TRY400 - no trace: the files are wrong, not we
                "certificate not reloaded, the old one stays in use", extra={"error": str(exc)}
            )
        else:
            log.info("certificate reloaded", extra={"file": self._settings.tls_cert_file})

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        if self._files() != self._seen:
            self.reload()

    def _files(self) -> list[tuple[int, int, int] | None]:
        """What tells that a file is another one."""
        settings = self._settings
        return [
            _mark(path)
            for path in (settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
        ]

    def _accept(self, limit: int | None) -> None:
        accepted = 0
        while limit is None or accepted < limit:
            try:
                conn, _ = self.sock.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as exc:
                log.warning("cannot accept", extra={"error": exc.strerror})
                self._pause()
                return
            accepted += 1
            conn.setblocking(False)
            if len(self._handshakes) >= HANDSHAKES:
                oldest, _ = self._handshakes.popitem(last=False)
                oldest.cancel()
            task = self._loop.create_task(self._shake_hands(conn))
            self._handshakes[task] = None
            task.add_done_callback(self._shaken)

    def _pause(self) -> None:
        if not self._closed:
            self._loop.remove_reader(self.sock.fileno())
            self._loop.call_later(_RETRY_S, self._resume)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self.sock.fileno(), self._accept, _ACCEPTS)

    def _shaken(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)

    async def _shake_hands(self, conn: socket.socket) -> None:
        done = False
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                conn,
                ssl=self._context,
                ssl_handshake_timeout=self._settings.tls_handshake_timeout_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
            done = True
        except (OSError, TimeoutError) as exc:
            log.debug("TLS handshake failed", extra={"error": reason(exc)})
        finally:
            if not done:
                self._worker.tls_failures += 1


def _mark(path: str | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
