"""First owner, and tokens: what the command line and the supervisor do with people's records.

A module of its own because the API and the command line must not import each other. Token texts
are shown once, at creation; the store keeps their SHA-256. What is done here is audited as done by
the operating system's user: whoever can write to the store needs no token.
"""

import getpass
import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from typing import Final

from controlplane import audit
from controlplane.lifecycle import people as rules
from controlplane.lifecycle.plans import Held, Plan, RuleError, Save, Stamp
from controlplane.model.kinds import Record
from controlplane.model.people import Scope, Token, User
from controlplane.model.workloads import Workload
from controlplane.store.client import Delete, Put, Store
from controlplane.store.errors import ConflictError
from controlplane.store.ids import ObjectIds

OWNER_ID: Final = "000000000000000000000001"
"""Id of the first user: fixed, so that two first starts at once cannot make two owners."""

OWNER_NAME: Final = "admin"
TOKEN_PREFIX: Final = "tg_"  # noqa: S105 - the visible start of every token, not a secret
_SHOWN: Final = 10
_ATTEMPTS: Final = 5
_KEEP_ALL: Final = 2**31 - 1
"""Of the audit's lines: the API cuts the journal to its setting with its next one."""

_ids = ObjectIds()


class AccountError(Exception):
    """A user or token that does not exist or is ambiguous; the message says what to do."""


def token_digest(text: str) -> str:
    """SHA-256 of a token's text as 64 hexadecimal digits: what the store keeps of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def new_text() -> str:
    """The text of a new token: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def shown(text: str) -> str:
    """What lists show of a token's text."""
    return text[:_SHOWN]


async def ensure_owner(store: Store) -> str | None:
    """Make the first user, an admin, with a token.

    Returns:
        The token's text, which nothing else keeps; None when there are users already.

    Raises:
        StoreError: The store cannot be read or written.
    """
    if await store.list(User):
        return None
    now_s = time.time()
    owner = User(
        id=OWNER_ID,
        username=OWNER_NAME,
        email=f"{OWNER_NAME}@localhost",
        first_name="Installation",
        last_name="Owner",
        admin=True,
        created_at=now_s,
    )
    text = new_text()
    content = _content("owner", text, expires_at=None)
    made = rules.create_token(Held(owner, 0), content, stamp=_stamp(now_s))
    try:
        await _commit(store, _puts(made), None, operation="tidegate up", now_s=now_s)
    except ConflictError:  # another process was first
        return None
    return text


async def create_token(
    store: Store,
    *,
    username: str | None = None,
    name: str,
    expires_s: float | None = None,
    scope: Scope = Scope.FULL,
    workload_ids: Sequence[str] = (),
) -> tuple[Token, str]:
    """Make a token.

    Args:
        store: Where users and tokens live.
        username: Whose token; None: the first owner's.
        name: What people call it, for example the machine it is used on.
        expires_s: Seconds from now until it stops working; None: never.
        scope: What it may be used for.
        workload_ids: The only workloads that it works for; empty: all.

    Returns:
        The record, and the text that is shown once.

    Raises:
        AccountError: No such user or workload, the user is disabled, or `expires_s` is not
            positive.
        StoreError: The store cannot be read or written.
    """
    if expires_s is not None and expires_s <= 0:
        raise AccountError("a token must expire in the future: give more than 0 seconds")
    for workload_id in workload_ids:
        found = await store.get(Workload, workload_id)
        if found is None or found.record.deleted_at is not None:
            raise AccountError(f"there is no workload {workload_id}")
    text = new_text()
    for attempt in range(1, _ATTEMPTS + 1):
        owner = await _find_user(store, username)
        now_s = time.time()
        content = _content(
            name,
            text,
            expires_at=None if expires_s is None else now_s + expires_s,
            scope=scope,
            workload_ids=tuple(workload_ids),
        )
        try:
            made = rules.create_token(owner, content, stamp=_stamp(now_s))
        except RuleError as exc:
            raise AccountError(str(exc)) from exc
        try:
            await _commit(
                store,
                _puts(made),
                owner.record,
                operation="tidegate token create",
                now_s=now_s,
            )
        except ConflictError:  # another token of the same user at the same moment
            if attempt == _ATTEMPTS:
                raise
        else:
            return made.subject, text
    raise AssertionError("the last attempt returns or raises")


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
    gone = found[0]
    await _commit(
        store, [Delete(Token, gone.id)], gone, operation="tidegate token revoke", now_s=time.time()
    )
    return gone


def _matches(token: Token, wanted: str) -> bool:
    return (
        token.id == wanted
        or token.digest == token_digest(wanted)
        or (wanted.startswith(TOKEN_PREFIX) and token.prefix.startswith(wanted))
    )


def _content(
    name: str,
    text: str,
    *,
    expires_at: float | None,
    scope: Scope = Scope.FULL,
    workload_ids: tuple[str, ...] = (),
) -> rules.TokenContent:
    return rules.TokenContent(
        name=name,
        digest=token_digest(text),
        prefix=shown(text),
        expires_at=expires_at,
        scope=scope,
        workload_ids=workload_ids,
    )


def _puts(plan: Plan[Token]) -> list[Put]:
    return [Put(write.record, write.expected) for write in plan.writes if isinstance(write, Save)]


def _stamp(now_s: float) -> Stamp:
    return Stamp(actor_id=OWNER_ID, now_s=now_s, new_id=_ids.new)


async def _commit(
    store: Store,
    writes: Sequence[Put | Delete],
    before: Record | None,
    *,
    operation: str,
    now_s: float,
) -> None:
    """Write, with the audit's lines of it.

    Args:
        store: Where.
        writes: What.
        before: The one record among them that exists already.
        operation: The command.
        now_s: Epoch seconds.
    """

    def read(cls: type[Record], record_id: str) -> Record | None:
        known = before is not None and (type(before), before.id) == (cls, record_id)
        return before if known else None

    by = audit.By(name=_system_user(), operation=operation)
    found = audit.lines(writes, read, by=by, now_s=now_s, new_id=_ids.new)
    await store.commit(writes, journal=audit.entries(found, keep=_KEEP_ALL))


def _system_user() -> str:
    try:
        return f"{getpass.getuser()} (operating system)"
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"{os.getuid()} (operating system)"


async def _find_user(store: Store, username: str | None) -> Held[User]:
    found = [Held(held.record, held.version) for held in await store.list(User)]
    users = sorted(found, key=lambda held: held.record.created_at)
    if not users:
        raise AccountError("there are no users yet: `tidegate up` makes the first one")
    if username is None:
        return next((held for held in users if held.record.admin), users[0])
    for held in users:
        if held.record.username == username:
            return held
    names = ", ".join(held.record.username for held in users)
    raise AccountError(f"no user is called {username!r}; there are: {names}")
