"""What replicas are told in confidence: values of credentials, and a token of their workload's own.

Everything is looked up at each start of a replica, so a changed credential counts from then on.
Proton and replica records hold references only.

The token is made when the first replica of a workload that asks for one (`api-key`) starts; later
ones get the same. Its text is kept encrypted, for the replicas that start after us. The conductor
revokes it when the workload is stopped or deleted.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from autoscaler.errors import LeadershipLostError
from autoscaler.leadership import Leadership
from autoscaler.reconcilers.base import SecretError
from controlplane import accounts
from controlplane.model.artifacts import Container, EnvVar
from controlplane.model.credentials import API_KEY, CREDENTIAL
from controlplane.model.people import Credential, Scope, Token
from controlplane.model.workloads import Workload
from controlplane.sealing import KeyFile, SealingError, open_values
from controlplane.store.client import Put, Store
from controlplane.store.errors import ConflictError, StoreError
from controlplane.store.watch import Mirror

RECORDS: Final = (Credential, Token)
"""What the mirror must follow."""


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
            store: For what the mirror does not follow.
            mirror: With `RECORDS`.
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

    async def variables(self, workload_id: str, container: Container) -> Mapping[str, str]:
        """See `base.Secrets`."""
        found: dict[str, str] = {}
        for variable in container.environment:
            if variable.source == CREDENTIAL:
                found[variable.name or ""] = self._value(variable)
            elif variable.source == API_KEY:
                found.setdefault("DATAROBOT_ENDPOINT", self._endpoint)
                found.setdefault("DATAROBOT_PUBLIC_API_ENDPOINT", self._endpoint)
                found[variable.name or ""] = await self._token(workload_id)
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

    async def _token(self, workload_id: str) -> str:
        token = self._mirror.get(Token, workload_id)
        try:
            ring = self._keys.ring()
            if token is not None and token.sealed is not None:
                try:
                    return ring.open(token.sealed, about=f"token:{token.id}").decode()
                except SealingError:
                    pass  # Its key is lost: a new text takes its place, and the old one ends.
            held = await self._store.get(Workload, workload_id)
            if held is None:
                raise SecretError(f"There is no workload {workload_id} to make a token for.")
            workload = held.record
            text = accounts.new_text()
            # The workload's id is the token's: two that make one at once make the same one.
            token = Token(
                id=workload.id,
                name=workload.name,
                digest=accounts.token_digest(text),
                prefix=accounts.shown(text),
                user_id=workload.creator_id,
                created_at=self._wall(),
                scope=Scope.WORKLOAD,
                made_for=workload.id,
                sealed=ring.seal(text.encode(), about=f"token:{workload.id}"),
            )
            revision = await self._leadership.commit([Put(token)])
            await self._mirror.reached(revision)
        except SealingError as exc:
            raise SecretError(f"The workload's token cannot be kept. {exc}") from exc
        except (StoreError, ConflictError, LeadershipLostError) as exc:
            raise SecretError(f"The workload's token cannot be made now: {exc}") from exc
        return text
