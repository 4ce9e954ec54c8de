"""What the server's error replies mean for the caller."""

from collections.abc import Mapping
from typing import Final

from controlplane.store.errors import (
    StoreError,
    StoreFullError,
    StoreSettingsError,
    StoreUnavailableError,
    WrongTypeError,
)

_UNAVAILABLE: Final = frozenset(
    {"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "NOREPLICAS"}
)
_FULL: Final = frozenset({"MISCONF", "OOM"})
_SETTINGS: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "NOPROTO", "DENIED"})


class ConnectionLostError(StoreUnavailableError):
    """The connection ended before the reply; whether the command ran is not known."""


class OverloadError(StoreUnavailableError):
    """This process has more commands under way than the server can answer. Nothing ran."""


class NoScriptError(StoreError):
    """The server does not know the script: its scripts were flushed. Nothing ran."""


class MovedError(StoreUnavailableError):
    """A Redis Cluster serves the keys on another node. Nothing ran."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"the keys live on {host}:{port}")
        self.host = host
        self.port = port


_OWN: Final[Mapping[str, type[StoreError]]] = {
    "NOSCRIPT": NoScriptError,
    "WRONGTYPE": WrongTypeError,
}


def error_from_reply(text: str) -> StoreError:
    """The store error for one error reply.

    Args:
        text: The reply, as in `MISCONF Errors writing to the AOF file: ...`. The errors of
            commands inside a script arrive in the same shape on Redis 7 and Valkey.
    """
    code = text.split(" ", 1)[0]
    if code in _OWN:
        return _OWN[code](text)
    if code == "MOVED":
        host, _, port = text.rsplit(" ", 1)[-1].rpartition(":")
        return MovedError(host, int(port))
    if code in _FULL or "No space left on device" in text:
        return StoreFullError(f"the store's server refuses writes: {text}")
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"the store's server is not ready: {text}")
    if code in _SETTINGS or "ACL failure in script" in text:
        return StoreSettingsError(f"the store's server refuses us: {text}")
    return StoreError(text)
