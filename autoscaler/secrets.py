"""What replicas are told in confidence: values of credentials, and a token of their workload's own.

Everything is looked up at each start of a replica, so a changed credential counts from then on.
Proton and replica records hold references only.

Whose it is, and what for, follows from who made the proton that starts: it was their choice what
code runs, so nobody's rights are lent to that code unless they chose it.

    who made the proton                       the token is                 for
    ----------------------------------------  ---------------------------  ------------------------
    an owner of the workload                  theirs                       all that they have a
                                                                           role on: clients in
                                                                           replicas call others
    an admin without such a role              an owner's                   the same: an admin may
                                                                           act for everybody
    nobody who still may (gone, disabled, no  an owner's                   this workload only: what
    owner or no admin any more)                                            runs here may be another
                                                                           person's choice

It never has an admin's power, whoever's it is. A start by an owner makes another proton, and so
gives the code that owner's token.

It is made when the first replica that asks for one (`api-key`) starts for that user; later ones get
the same. Its text is kept encrypted, for the replicas that start after us. The conductor revokes
it when the workload is stopped or deleted.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import Leadership
from autoscaler.reconcilers.base import SecretError
from controlplane import accounts, audit
from controlplane.lifecycle import access
from controlplane.model.artifacts import Container, EnvVar
from controlplane.model.credentials import API_KEY, CREDENTIAL
from controlplane.model.people import Credential, Scope, Token, User
from controlplane.model.states import AccessRole, Desired, effective_roles
from controlplane.model.workloads import Proton, Workload
from controlplane.sealing import KeyFile, SealingError, open_values
from controlplane.store.client import Put, Store
from controlplane.store.errors import ConflictError, StoreError
from controlplane.store.ids import ObjectIds
from controlplane.store.watch import Mirror

RECORDS: Final = (Credential, Token, User, Workload)
"""What the mirror must follow, besides protons."""

_NO_WORKLOAD: Final = "There is no workload {} to make a token for."
_BY: Final = audit.By(name="autoscaler", operation="start of a replica with api-key")
_KEEP_ALL: Final = 2**31 - 1
"""Audit lines: only the API shortens their journal."""


class StoreSecrets:
    """Opens what is sealed in the store; a `Secrets` of the reconciler."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        leadership: Leadership,
        keys: KeyFile,
        *,
        api_url: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Prepare for one term.

        Args:
            store: Asked whether a workload is still there before it is given a token.
            mirror: With `RECORDS` and protons.
            leadership: Whose term it is.
            keys: The installation's.
            api_url: Base of the API as replicas reach it, without a slash at its end.
            wall: Epoch seconds.
        """
        self._store = store
        self._mirror = mirror
        self._leadership = leadership
        self._keys = keys
        self._endpoint = f"{api_url}/api/v2"
        self._wall = wall
        self._ids = ObjectIds()

    async def variables(self, workload_id: str, container: Container) -> Mapping[str, str]:
        """See `base.Secrets`."""
        found: dict[str, str] = {}
        for variable in container.environment:
            if variable.source == CREDENTIAL:
                found[variable.name or ""] = self._value(variable)
            elif variable.source == API_KEY:
                found.setdefault("DATAROBOT_ENDPOINT", self._endpoint)
                found.setdefault("DATAROBOT_PUBLIC_API_ENDPOINT", self._endpoint)
                found[variable.name or ""] = await self._token(workload_id, container)
        return found

    def _value(self, variable: EnvVar) -> str:
        credential = self._mirror.get(Credential, variable.credential_id or "")
        if credential is None:
            raise SecretError(
                f"Variable {variable.name} comes from credential {variable.credential_id}, which"
                " does not exist. Refer to another one, then stop and start the workload."
            )
        try:
            values = open_values(self._keys.ring(), credential)
        except SealingError as exc:
            raise SecretError(f"Variable {variable.name} cannot be set. {exc}") from exc
        if variable.key not in values:
            raise SecretError(
                f"Variable {variable.name} comes from {variable.key} of credential"
                f" {credential.name!r} ({credential.id}), which has no such value. Add it there,"
                " or refer to another one."
            )
        return values[variable.key]

    async def _token(self, workload_id: str, container: Container) -> str:
        workload = self._mirror.get(Workload, workload_id)
        if workload is None:
            raise SecretError(_NO_WORKLOAD.format(workload_id))
        user, chosen = self._user(workload, container)
        own_id = token_id(workload.id, user.id, only_here=not chosen)
        token = self._mirror.get(Token, own_id)
        try:
            ring = self._keys.ring()
            if token is not None and token.sealed is not None:
                try:
                    return ring.open(token.sealed, about=f"token:{token.id}").decode()
                except SealingError:
                    pass  # Its key is lost: a new text takes its place, and the old one ends.
            if await self._store.get(Workload, workload_id) is None:
                raise SecretError(_NO_WORKLOAD.format(workload_id))
            text = accounts.new_text()
            made = Token(
                id=own_id,
                name=workload.name,
                digest=accounts.token_digest(text),
                prefix=accounts.shown(text),
                user_id=user.id,
                created_at=self._wall(),
                scope=Scope.WORKLOAD,
                workload_ids=() if chosen else (workload.id,),
                made_for=workload.id,
                sealed=ring.seal(text.encode(), about=f"token:{own_id}"),
            )
            await self._keep(made)
        except SealingError as exc:
            raise SecretError(f"The workload's token cannot be kept. {exc}") from exc
        except (StoreError, ConflictError, LeadershipLostError) as exc:
            raise SecretError(f"The workload's token cannot be made now: {exc}") from exc
        return text

    async def _keep(self, token: Token) -> None:
        writes = [Put(token)]
        told = audit.lines(
            writes, self._mirror.get, by=_BY, now_s=self._wall(), new_id=self._ids.new
        )
        revision = await self._leadership.commit(
            writes, journal=audit.entries(told, keep=_KEEP_ALL)
        )
        audit.log(told)
        await self._mirror.reached(revision)

    def _user(self, workload: Workload, container: Container) -> tuple[User, bool]:
        """Whose token a container gets, and whether they, or an admin, chose what runs in it.

        Raises:
            SecretError: There is nobody who could have one.
        """
        started = [
            proton
            for proton in self._mirror.all(Proton).values()
            if proton.workload_id == workload.id
            and proton.desired is Desired.RUNNING
            and any(container in group.containers for group in proton.spec.container_groups)
        ]
        # In a replacement both may run the same: whoever came last wanted that.
        newest = max(started, key=lambda proton: (proton.created_at, proton.id), default=None)
        if newest is None:
            raise SecretError(f"Nothing of workload {workload.id} runs that asks for an API token.")
        starter = self._mirror.get(User, newest.creator_id)
        acts_for_all = starter is not None and starter.admin and not starter.disabled
        roles = effective_roles(workload.roles, workload.creator_id)
        for user_id in [newest.creator_id, workload.creator_id, *sorted(roles)]:
            user = self._mirror.get(User, user_id)
            if user is not None and not user.disabled and _owns(user, workload):
                return user, acts_for_all or user is starter
        raise SecretError(
            f"Workload {workload.id} asks for an API token, and has no owner who is enabled."
            " Share it with one as OWNER, then stop and start it."
        )


def token_id(workload_id: str, user_id: str, *, only_here: bool = False) -> str:
    """The id of the token that a workload's replicas carry for a user.

    Two that make one at once make the same one.

    Args:
        workload_id: Whose replicas.
        user_id: As whom.
        only_here: It is limited to this workload.
    """
    text = f"{workload_id}:{user_id}{':only here' if only_here else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _owns(user: User, workload: Workload) -> bool:
    """Whether they are an owner by its roles; that an admin owns everything does not count."""
    plain = msgspec.structs.replace(user, admin=False)
    return access.role_on(plain, workload) is AccessRole.OWNER
