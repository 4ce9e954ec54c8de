"""First owner, and tokens: what the command line and the supervisor do with people's records.

A module of its own because the API and the command line must not import each other. Token texts
are shown once, at creation; the store keeps their SHA-256.
"""

import hashlib
import secrets
import time
from typing import Final

from controlplane.model.people import Token, User
from controlplane.store.client import Delete, Put, Store
from controlplane.store.errors import ConflictError
from controlplane.store.ids import ObjectIds

OWNER_ID: Final = "000000000000000000000001"
"""Id of the first user: fixed, so that two first starts at once cannot make two owners."""

OWNER_NAME: Final = "admin"
TOKEN_PREFIX: Final = "tg_"  # noqa: S105 - the visible start of every token, not a secret
_SHOWN: Final = 10

_ids = ObjectIds()


class AccountError(Exception):
    """A user or token that does not exist or is ambiguous; the message says what to do."""


def token_digest(text: str) -> str:
    """SHA-256 of a token's text as 64 hexadecimal digits: what the store keeps of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


async def ensure_owner(store: Store) -> str | None:
    """Make the first user, an admin, with a token.

    Returns:
        The token's text, which nothing else keeps; None when there are users already.

    Raises:
        StoreError: The store cannot be read or written.
    """
    if await store.list(User):
        return None
    now = time.time()
    owner = User(
        id=OWNER_ID,
        username=OWNER_NAME,
        email=f"{OWNER_NAME}@localhost",
        first_name="Installation",
        last_name="Owner",
        admin=True,
        created_at=now,
    )
    token, text = _new_token(owner, name="owner", now_s=now, expires_s=None)
    try:
        await store.commit([Put(owner, expected=0), Put(token, expected=0)])
    except ConflictError:  # another process was first
        return None
    return text


async def create_token(
    store: Store, *, username: str | None = None, name: str, expires_s: float | None = None
) -> tuple[Token, str]:
    """Make a token.

    Args:
        store: Where users and tokens live.
        username: Whose token; None: the first owner's.
        name: What people call it, for example the machine it is used on.
        expires_s: Seconds from now until it stops working; None: never.

    Returns:
        The record, and the text that is shown once.

    Raises:
        AccountError: No such user, or `expires_s` is not positive.
        StoreError: The store cannot be read or written.
    """
    if expires_s is not None and expires_s <= 0:
        raise AccountError("a token must expire in the future: give more than 0 seconds")
    user = await _find_user(store, username)
    token, text = _new_token(user, name=name, now_s=time.time(), expires_s=expires_s)
    await store.commit([Put(token, expected=0)])
    return token, text


async def list_tokens(store: Store) -> list[Token]:
    """All tokens, oldest first, expired ones included."""
    tokens = [held.record for held in await store.list(Token)]
    return sorted(tokens, key=lambda token: (token.created_at, token.id))


async def revoke_token(store: Store, token_id_or_prefix: str) -> Token:
    """End a token now.

    Args:
        store: Where users and tokens live.
        token_id_or_prefix: The token's id, its shown prefix, or its whole text.

    Returns:
        The token that no longer works.

    Raises:
        AccountError: No token matches, or more than one does.
        StoreError: The store cannot be read or written.
    """
    wanted = token_id_or_prefix.strip()
    if not wanted:
        raise AccountError("name a token by its id or prefix: `tidegate token list` shows both")
    found = [token for token in await list_tokens(store) if _matches(token, wanted)]
    if not found:
        shown = wanted[:_SHOWN]
        raise AccountError(f"no token matches {shown!r}: `tidegate token list` shows all of them")
    if len(found) > 1:
        ids = ", ".join(token.id for token in found)
        raise AccountError(f"{wanted[:_SHOWN]!r} matches {len(found)} tokens ({ids}): give an id")
    await store.commit([Delete(Token, found[0].id)])
    return found[0]


def _matches(token: Token, wanted: str) -> bool:
    return (
        token.id == wanted
        or token.digest == token_digest(wanted)
        or (wanted.startswith(TOKEN_PREFIX) and token.prefix.startswith(wanted))
    )


def _new_token(
    user: User, *, name: str, now_s: float, expires_s: float | None
) -> tuple[Token, str]:
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token(
        id=_ids.new(),
        name=name,
        digest=token_digest(text),
        prefix=text[:_SHOWN],
        user_id=user.id,
        created_at=now_s,
        expires_at=None if expires_s is None else now_s + expires_s,
    )
    return token, text


async def _find_user(store: Store, username: str | None) -> User:
    users = sorted((held.record for held in await store.list(User)), key=lambda u: u.created_at)
    if not users:
        raise AccountError("there are no users yet: `tidegate up` makes the first one")
    if username is None:
        return next((user for user in users if user.admin), users[0])
    for user in users:
        if user.username == username:
            return user
    names = ", ".join(user.username for user in users)
    raise AccountError(f"no user is called {username!r}; there are: {names}")
