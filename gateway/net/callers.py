"""Who calls: identities by credential, kept fresh by the store."""

import hashlib

from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.store.watch import Mirror
from gateway.net.worker import Worker

PEOPLE: tuple[type[Record], ...] = (User, Token)
"""Records that identities are made of."""

_MAX_CREDENTIALS = 10_000
_MAX_CREDENTIAL_BYTES = 256


class Identity:
    """Who calls, by token."""

    __slots__ = ("admin", "expires_at", "line", "user_id")

    def __init__(self, *, user_id: str, admin: bool, expires_at: float | None) -> None:
        self.user_id = user_id
        self.admin = admin
        self.expires_at = expires_at
        self.line = b"X-DataRobot-User-Id: " + user_id.encode()


class Callers:
    """All identities, and the credentials under which they were seen."""

    def __init__(self, worker: Worker, mirror: Mirror) -> None:
        self._worker = worker
        self._mirror = mirror
        self._identities: dict[str, Identity] = {}
        self._credentials: dict[bytes, Identity] = {}

    def authenticate(self, credential: bytes | None) -> Identity | None:
        """Who holds this credential; None for nobody.

        Args:
            credential: An Authorization value (`Bearer T` or `Token T`), or a bare token.
        """
        if credential is None:
            return None
        identity = self._credentials.get(credential)
        if identity is None:
            scheme, blank, token = credential.partition(b" ")
            if blank and scheme.lower() not in {b"bearer", b"token"}:
                return None
            digest = hashlib.sha256(token.strip() if blank else scheme).hexdigest()
            identity = self._identities.get(digest)
            if identity is None:
                return None
            if len(credential) <= _MAX_CREDENTIAL_BYTES:  # blanks around a token may be many
                if len(self._credentials) >= _MAX_CREDENTIALS:
                    self._credentials.clear()
                self._credentials[credential] = identity
        if identity.expires_at is not None and identity.expires_at <= self._worker.wall():
            return None
        return identity

    def refresh(self) -> None:
        """Users or tokens have changed."""
        users = self._mirror.all(User)
        self._identities = {
            token.digest: Identity(
                user_id=token.user_id,
                admin=users[token.user_id].admin,
                expires_at=token.expires_at,
            )
            for token in self._mirror.all(Token).values()
            if token.user_id in users
        }
        self._credentials.clear()
