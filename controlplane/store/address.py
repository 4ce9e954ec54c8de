"""Where the store's server listens: the URL of `store.url`, taken apart.

redis://[user[:password]@]host[:port][/database]
rediss://...      the same over TLS; ?ca=/path/to/ca.pem, ?verify=no
unix:///path/to/socket[?db=0]
"""

import ssl
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from controlplane.store.errors import StoreSettingsError

DEFAULT_PORT = 6379
_KNOWN_OPTIONS = {"redis": {"db"}, "rediss": {"db", "ca", "verify"}, "unix": {"db"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One server. Exactly one of `path` and `host` is set."""

    host: str | None = None
    port: int = DEFAULT_PORT
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: bool = False
    ca_file: str | None = None
    verify: bool = True

    def __str__(self) -> str:
        """The address for people, without the password."""
        if self.path is not None:
            return f"unix://{self.path}"
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{self.host}:{self.port}/{self.database}"

    def moved(self, host: str, port: int) -> Self:
        """The same account on another node of a cluster; an empty host is the same host."""
        return replace(self, host=host or self.host, port=port, path=None)

    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS checks of the server; None without TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse_url(url: str) -> Address:
    """Take a store URL apart.

    Raises:
        StoreSettingsError: The scheme or an option is unknown, or a part is missing or malformed.
    """
    parts = urlsplit(url)
    known = _KNOWN_OPTIONS.get(parts.scheme)
    if known is None:
        raise StoreSettingsError(
            f"store.url: {parts.scheme or url!r} is not redis://, rediss:// or unix://"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - known)
    if unknown:
        raise StoreSettingsError(
            f"store.url: unknown option {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if parts.scheme == "unix":
        if not parts.path:
            raise StoreSettingsError("store.url: unix:// needs a path, as in unix:///run/x.sock")
        return Address(
            path=unquote(parts.path),
            username=username,
            password=password,
            database=_database(options.get("db", "0")),
        )
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError as exc:
        raise StoreSettingsError(f"store.url: {exc}") from exc
    if not parts.hostname:
        raise StoreSettingsError(f"store.url: {parts.scheme}:// needs a host")
    return Address(
        host=parts.hostname,
        port=port,
        username=username,
        password=password,
        database=_database(parts.path.strip("/") or options.get("db", "0")),
        tls=parts.scheme == "rediss",
        ca_file=options.get("ca"),
        verify=options.get("verify", "yes") != "no",
    )


def _database(text: str) -> int:
    if not text.isdecimal():
        raise StoreSettingsError(f"store.url: database {text!r} is not a number")
    return int(text)
