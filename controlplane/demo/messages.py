"""Requests of the sample service, and the heads of its answers."""

from http import HTTPStatus
from urllib.parse import parse_qs


class Request:
    """One request; its body is counted, not kept."""

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body_bytes = 0
        self.keep_alive = True
        self.chunked_allowed = True

    def header(self, name: bytes) -> bytes:
        """A header's value, empty without it."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition(b"?")[0].decode("latin-1")

    def query_int(self, name: str, default: int) -> int:
        """A number from the query."""
        values = parse_qs(self.target.partition(b"?")[2].decode("latin-1")).get(name)
        try:
            return int(values[0]) if values else default
        except ValueError:
            return default


def echo(request: Request) -> dict[str, object]:
    """What /echo says of a request."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers]
    return {
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "path": request.path,
        "headers": headers,
        "body_bytes": request.body_bytes,
    }


def head(request: Request, status: int, kind: bytes, extra: bytes) -> bytes:
    """The head of an answer.

    Args:
        request: What is answered.
        status: Any code.
        kind: The content type.
        extra: Further lines, each with its end.
    """
    try:
        reason = HTTPStatus(status).phrase.encode()
    except ValueError:
        reason = b"Status"
    connection = b"" if request.keep_alive else b"Connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n%b%b\r\n" % (
        status,
        reason,
        kind,
        extra,
        connection,
    )
