"""Who calls: identities by credential, kept fresh by the store."""

import hashlib

from controlplane.model.kinds import Record
from controlplane.model.people import Scope, Token, User
from controlplane.store.watch import Mirror
from gateway.net.worker import Worker

PEOPLE: tuple[type[Record], ...] = (User, Token)
"""Records that identities are made of."""

_MAX_CREDENTIALS = 10_000
_MAX_CREDENTIAL_BYTES = 256


class Identity:
    """Who calls, by token."""

    __slots__ = (
        "admin",
        "expires_at",
        "key",
        "limited",
        "line",
        "rules",
        "user_id",
        "workload_ids",
    )

    def __init__(
        self,
        *,
        user_id: str,
        admin: bool,
        expires_at: float | None,
        invokes: bool = True,
        workload_ids: tuple[str, ...] = (),
    ) -> None:
        """Describe who holds a token.

        Args:
            user_id: The token's user.
            admin: Whether they own everything.
            expires_at: When the token ends, epoch seconds; None: never.
            invokes: Whether it may be used at invoke URLs at all.
            workload_ids: The only workloads it may be used for; empty: all.
        """
        limited = not invokes or bool(workload_ids)
        self.user_id = user_id
        self.rules = admin
        """Owner of everything, within the token's limits."""
        self.admin = admin and not limited
        """The same without limits: nothing else needs to be asked."""
        self.key = "" if limited else user_id
        """What is looked for among those who may invoke; a limited token's is never there."""
        self.limited = limited
        self.workload_ids = workload_ids if invokes else ()
        self.expires_at = expires_at
        self.line = b"X-DataRobot-User-Id: " + user_id.encode() + b"\r\n"


def stranger(address: str) -> Identity:
    """Somebody without a token, where a path needs none. Applications are told of no user."""
    identity = Identity(user_id=f"anonymous {address}", admin=False, expires_at=None, invokes=False)
    identity.line = b""
    return identity


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
                # Replicas never have an admin's power: others choose what code runs in them.
                admin=user.admin and token.made_for is None and token.scope is not Scope.WORKLOAD,
                expires_at=token.expires_at,
                invokes=token.scope is not Scope.READ,
                workload_ids=token.workload_ids,
            )
            for token in self._mirror.all(Token).values()
            if (user := users.get(token.user_id)) is not None and not user.disabled
        }
        self._credentials.clear()
