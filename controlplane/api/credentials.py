"""Routes of credentials: secrets that environments refer to. Their values are written, never read.

Everybody sees and uses their own; admins everybody's.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Cursor, NewPage, Page, Sorting, matches, name_key, page_of
from controlplane.api.queries import Search
from controlplane.api.writes import carry_out
from controlplane.lifecycle import credentials as rules
from controlplane.lifecycle.plans import Held, NotFoundError, Plan, UnfitError
from controlplane.model.artifacts import Artifact, ArtifactSpec
from controlplane.model.credentials import TYPES
from controlplane.model.people import Credential
from controlplane.model.workloads import Proton
from controlplane.sealing import SealingError, open_values, seal_values
from controlplane.wire.credentials import (
    CredentialFormatted,
    CredentialInput,
    CredentialPatch,
    CredentialType,
)

router: Final = APIRouter(tags=["credentials"], responses=RESPONSES)


class CredentialQuery(Cursor, NewPage):
    """Query of the credential list."""

    types: list[CredentialType] = Field(default_factory=list)
    search: Search | None = None
    order_by: Literal["name", "-name", "creationDate", "-creationDate"] = "-creationDate"


@router.post("", status_code=201, response_model=CredentialFormatted)
async def create_credential(call: PlainCall, body: CredentialInput) -> CredentialFormatted:
    """Store a credential: a type, and the values that the type has. No answer shows them."""
    values = _fitting(body.credential_type, body.values())
    outcome = await carry_out(
        call,
        lambda: rules.create_credential(
            rules.CredentialContent(
                name=body.name,
                description=body.description or "",
                type=body.credential_type,
                values=values,
            ),
            seal=_seal(call),
            stamp=call.stamp(),
        ),
    )
    call.tag(outcome.version)
    return CredentialFormatted.of(outcome.record)


@router.get("", response_model=Page[CredentialFormatted])
async def list_credentials(
    call: ListCall, query: Annotated[CredentialQuery, Query()]
) -> dict[str, Any]:
    """The caller's credentials."""
    found = [
        credential
        for credential in call.services.mirror.all(Credential).values()
        if rules.may_use(call.user, credential)
        and (not query.types or credential.type in query.types)
        and matches(
            query.search,
            name=credential.name,
            description=credential.description,
            record_id=credential.id,
        )
    ]
    return await page_of(call, query, found, sorting=_SORTING, view=CredentialFormatted.of)


@router.get("/{credential_id}", response_model=CredentialFormatted)
async def get_credential(call: PlainCall, credential_id: str) -> CredentialFormatted:
    """One credential, without its values."""
    held = _find(call, credential_id)
    call.tag(held.version)
    return CredentialFormatted.of(held.record)


@router.patch("/{credential_id}", response_model=CredentialFormatted)
async def edit_credential(
    call: PlainCall, credential_id: str, body: CredentialPatch
) -> CredentialFormatted:
    """Change name, description or values. Replicas get new values at their next start."""

    def plan() -> Plan[Credential]:
        held = _find(call, credential_id)
        call.check_if_match(held)
        return rules.edit_credential(
            held,
            rules.CredentialEdit(
                name=body.name,
                description=body.description,
                values=_merged(call, held.record, body),
            ),
            seal=_seal(call),
            stamp=call.stamp(),
        )

    outcome = await carry_out(call, plan)
    call.tag(outcome.version)
    return CredentialFormatted.of(outcome.record)


@router.delete("/{credential_id}", status_code=204)
async def delete_credential(call: PlainCall, credential_id: str) -> None:
    """Delete a credential that no draft and no workload needs."""
    services = call.services

    def plan() -> Plan[Credential]:
        held = _find(call, credential_id)
        call.check_if_match(held)
        return rules.delete_credential(
            held,
            artifacts=[a for a in services.mirror.all(Artifact).values() if a.deleted_at is None],
            workloads=services.live_workloads(),
            protons=services.mirror.all(Proton).values(),
        )

    await carry_out(call, plan)


def check_environment(call: Call, spec: ArtifactSpec, *where: str | int) -> None:
    """That the caller may use the credentials which a new spec refers to.

    Args:
        call: Whose.
        spec: What the body asks for.
        where: The way to the spec in the body; none: it comes from elsewhere.

    Raises:
        RequestValidationError: A reference is wrong; the entry points to it.
        UnfitError: The same of a spec that is not in the body.
    """
    find = call.services.mirror.all(Credential).get
    problems = rules.check_references(spec, user=call.user, find=find)
    if problems and not where:
        raise UnfitError("; ".join(problem.message for problem in problems) + ".")
    _refuse([rules.Problem((*where, *p.at), p.message, p.missing) for p in problems])


def _find(call: Call, credential_id: str) -> Held[Credential]:
    held = call.services.held(Credential, credential_id)
    if held is None:
        raise NotFoundError(f"There is no credential {credential_id}.")
    rules.require(call.user, held.record)
    return held


def _seal(call: Call) -> rules.Seal:
    ring = call.services.keys.ring()
    return lambda credential_id, values: seal_values(ring, credential_id, dict(values))


def _fitting(credential_type: str, sent: Mapping[str, str | None]) -> dict[str, str]:
    """The values to keep, all of which the type has."""
    values = {name: value for name, value in sent.items() if value is not None}
    _refuse(rules.check_values(credential_type, values))
    return values


def _merged(call: Call, credential: Credential, body: CredentialPatch) -> dict[str, str] | None:
    """All values as they will be; None where the body names none."""
    if body.credential_type not in {None, credential.type}:
        told = f"the type stays {credential.type}: make another credential"
        _refuse([rules.Problem(("credentialType",), told)])
    sent = body.values()
    if not sent:
        return None
    kept: dict[str, str | None] = {}
    if not set(TYPES[credential.type].required) <= sent.keys():
        kept = dict(open_values(call.services.keys.ring(), credential))
    else:
        # All that must be there is new: also a credential whose key was lost gets well again.
        try:
            kept = dict(open_values(call.services.keys.ring(), credential))
        except SealingError:
            kept = {}
    return _fitting(credential.type, kept | sent)


def _refuse(problems: Sequence[rules.Problem]) -> None:
    if problems:
        raise RequestValidationError(
            [
                {
                    "type": "missing" if problem.missing else "value_error",
                    "loc": ("body", *problem.at),
                    "msg": problem.message,
                }
                for problem in problems
            ]
        )


_SORTING: Final = Sorting[Credential](
    keys={"name": lambda c: name_key(c.name), "creationDate": lambda c: c.created_at},
    fixed=frozenset({"creationDate"}),
)
