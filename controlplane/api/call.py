"""One request as the routes see it: who asks, in which family's words, with what at hand."""

from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from controlplane.api.edge import template
from controlplane.api.services import Services
from controlplane.audit import By
from controlplane.lifecycle import access
from controlplane.lifecycle.contents import ImageRules, Permits
from controlplane.lifecycle.plans import Held, NotFoundError, Stamp, StateError
from controlplane.model.artifacts import Artifact, Repository
from controlplane.model.kinds import Record
from controlplane.model.people import Token, User
from controlplane.model.states import AccessRole
from controlplane.model.workloads import Deployment, Proton, Workload
from controlplane.wire.base import Input
from controlplane.wire.families import Family, family_of

R = TypeVar("R", Artifact, Repository, Workload, Deployment)


class TokenScheme(SecurityBase):
    """Tells the OpenAPI document that tokens are needed; `edge.Authentication` checks them."""

    def __init__(self) -> None:
        self.model = HTTPBearer(
            description="`Authorization: Bearer <token>`; `Token <token>` works too."
        )
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> None:
        """Nothing left to do."""


class Call:
    """One authenticated request."""

    def __init__(self, request: Request, response: Response) -> None:
        self.request = request
        self.services: Services = request.app.state.services
        self.user: User = request.state.user
        self.token: Token = request.state.token
        self.family: Family = family_of(request.scope["path"])
        self._response = response

    def stamp(self) -> Stamp:
        """Who acts, now."""
        services = self.services
        return Stamp(actor_id=self.user.id, now_s=services.clock(), new_id=services.ids.new)

    def by(self) -> By:
        """Who acts, for the audit."""
        request = self.request
        return By(
            name=self.user.username,
            user_id=self.user.id,
            token=self.token.prefix,
            operation=f"{request.method} {template(request.scope)}",
            request_id=request.state.request_id,
            address=None if request.client is None else request.client.host,
        )

    def permits(self) -> Permits:
        """What the caller may say in an artifact."""
        api = self.services.settings.api
        images = ImageRules.parse(
            enabled=api.image_validation, allowed=api.image_allowlist, denied=api.image_denylist
        )
        return Permits(images=images, privileges=self.user.admin)

    # -- finding ------------------------------------------------------------------------------

    def artifact(
        self, artifact_id: str, allowed: frozenset[AccessRole] = access.OWNERS
    ) -> Held[Artifact]:
        """A live artifact on which the caller has one of the allowed roles; raises as `workload`.

        `READERS` may run it, `OWNERS` change it.
        """
        held = self._live(Artifact, artifact_id)
        access.require(self.user, held.record, allowed)
        return held

    def repository(
        self, repository_id: str, allowed: frozenset[AccessRole] = access.OWNERS
    ) -> Held[Repository]:
        """A live repository on which the caller has one of the allowed roles, as `artifact`."""
        held = self._live(Repository, repository_id)
        access.require(self.user, held.record, allowed)
        return held

    def workload(self, workload_id: str, allowed: frozenset[AccessRole]) -> Held[Workload]:
        """A live workload on which the caller has one of the allowed roles.

        Raises:
            NotFoundError: There is none.
            ForbiddenError: The caller has no such role.
        """
        held = self._live(Workload, workload_id)
        access.require(self.user, held.record, allowed)
        return held

    def deployment(self, deployment_id: str, allowed: frozenset[AccessRole]) -> Held[Deployment]:
        """A live deployment; roles are those on its workload. Raises like `workload`."""
        held = self._live(Deployment, deployment_id)
        self.workload(held.record.workload_id, allowed)
        return held

    def proton(self, workload_id: str, proton_id: str) -> Proton:
        """A proton of a workload that the caller may look into. Raises like `workload`."""
        self.workload(workload_id, access.READERS)
        proton = self.services.mirror.get(Proton, proton_id)
        if proton is None or proton.workload_id != workload_id:
            raise NotFoundError(f"Workload {workload_id} has no proton {proton_id}.")
        return proton

    def name_of(self, workload_id: str) -> str | None:
        """A workload's name, deleted or not; None: the caller has no role on it."""
        workload = self.services.mirror.get(Workload, workload_id)
        if workload is None or access.role_on(self.user, workload) is None:
            return None
        return workload.name

    def _live(self, cls: type[R], record_id: str) -> Held[R]:
        held = self.services.held(cls, record_id)
        if held is None or held.record.deleted_at is not None:
            raise NotFoundError(f"There is no {cls.__name__.lower()} {record_id}.")
        return held

    # -- versions -----------------------------------------------------------------------------

    def check_if_match(self, held: Held[Record]) -> None:
        """Refuse when the caller names another version than the record has.

        409 and not 412: the contract's clients know 409 as "somebody was faster".

        Raises:
            StateError: `If-Match` was sent and does not fit.
        """
        header = self.request.headers.get("if-match")
        if header is None or header.strip() == "*":
            return
        if _tag(held.version) not in {part.strip() for part in header.split(",")}:
            raise StateError(changed_meanwhile(held.record))

    def tag(self, version: int) -> None:
        """Send the record's version as the answer's ETag."""
        self._response.headers["ETag"] = _tag(version)

    def set_status(self, status: int) -> None:
        """Answer with another status than the route's own."""
        self._response.status_code = status


class NoQuery(Input):
    """Routes without query parameters refuse all of them, as the contract's server does."""


async def _call(
    request: Request, response: Response, _: Annotated[None, Security(TokenScheme())]
) -> Call:
    return Call(request, response)


ListCall = Annotated[Call, Depends(_call)]
"""For routes with query parameters of their own."""


async def _plain_call(call: ListCall, _: Annotated[NoQuery, Query()]) -> Call:
    return call


PlainCall = Annotated[Call, Depends(_plain_call)]
"""For routes without query parameters."""


def changed_meanwhile(record: Record) -> str:
    """The sentence for whoever lost a race."""
    what = type(record).__name__
    return (
        f"{what} {record.id} was changed by somebody else meanwhile; nothing of your change was"
        " written. Read it again, then repeat your change."
    )


def _tag(version: int) -> str:
    return f'"{version}"'
