"""Routes of tokens: one's own, and everybody's for admins. An extension of the API."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from controlplane import accounts
from controlplane.api.call import Call, ListCall, PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.api.pages import Cursor, NewPage, Page, Sorting, page_of
from controlplane.api.writes import carry_out
from controlplane.lifecycle import access
from controlplane.lifecycle import people as rules
from controlplane.lifecycle.plans import ForbiddenError, Held, NotFoundError, Plan, UnfitError
from controlplane.model.people import Token, User
from controlplane.model.workloads import Workload
from controlplane.wire.people import ApiKeyCreated, ApiKeyFormatted, ApiKeyInput, ObjectIdText

router: Final = APIRouter(tags=["account"], responses=RESPONSES)


class ApiKeyQuery(Cursor, NewPage):
    """Query of the token list."""

    user_id: ObjectIdText | None = Field(None, description="Whose; default: the caller's own.")

    @property
    def order_by(self) -> str:
        """Oldest first."""
        return "createdAt"


_TOKENS: Final = Sorting[Token](keys={"createdAt": lambda token: token.created_at})


@router.post("/account/apiKeys", status_code=201, response_model=ApiKeyCreated)
async def create_api_key(call: PlainCall, body: ApiKeyInput) -> ApiKeyCreated:
    """Make a token. Its text is in this answer and nowhere else. An extension."""
    now_s = call.services.clock()
    text = accounts.new_text()
    expires_at = None if body.expires_at is None else body.expires_at.timestamp()
    if body.expires_in_seconds is not None:
        expires_at = now_s + body.expires_in_seconds
    content = rules.TokenContent(
        name=body.name,
        digest=accounts.token_digest(text),
        prefix=accounts.shown(text),
        expires_at=expires_at,
        scope=body.scope,
        workload_ids=tuple(dict.fromkeys(body.workload_ids)),
    )

    def plan() -> Plan[Token]:
        owner = _owner(call, body.user_id)
        for number, workload_id in enumerate(body.workload_ids):
            workload = call.services.mirror.get(Workload, workload_id)
            if (
                workload is None
                or workload.deleted_at is not None
                or access.role_on(owner.record, workload) is None
            ):
                raise UnfitError(
                    f"workloadIds.{number}: {owner.record.username} has no role on a workload"
                    f" {workload_id}."
                )
        return rules.create_token(owner, content, stamp=call.stamp())

    outcome = await carry_out(call, plan)
    return ApiKeyCreated.with_text(outcome.record, text, now_s=now_s)


@router.get("/account/apiKeys", response_model=Page[ApiKeyFormatted])
async def list_api_keys(call: ListCall, query: Annotated[ApiKeyQuery, Query()]) -> dict[str, Any]:
    """The caller's tokens, oldest first; admins may name somebody else. An extension."""
    owner = _owner(call, query.user_id).record
    found = [t for t in call.services.mirror.all(Token).values() if t.user_id == owner.id]
    now_s = call.services.clock()
    return await page_of(
        call,
        query,
        found,
        sorting=_TOKENS,
        view=lambda token: ApiKeyFormatted.of(token, now_s=now_s),
    )


@router.get("/account/apiKeys/{api_key_id}", response_model=ApiKeyFormatted)
async def get_api_key(call: PlainCall, api_key_id: str) -> ApiKeyFormatted:
    """One of the caller's tokens; admins see all. An extension."""
    return ApiKeyFormatted.of(_token(call, api_key_id).record, now_s=call.services.clock())


@router.delete("/account/apiKeys/{api_key_id}", status_code=204)
async def revoke_api_key(call: PlainCall, api_key_id: str) -> None:
    """Revoke a token: within a second nothing takes it any more. An extension."""
    await carry_out(call, lambda: rules.revoke_token(_token(call, api_key_id)))


def _owner(call: Call, user_id: str | None) -> Held[User]:
    """Whose tokens a request is about."""
    if user_id not in {None, call.user.id} and not call.user.admin:
        raise ForbiddenError("Only admins may see and make tokens of other users.")
    held = call.services.held(User, user_id or call.user.id)
    if held is None:
        raise UnfitError(f"userId: there is no user {user_id}.")
    return held


def _token(call: Call, token_id: str) -> Held[Token]:
    held = call.services.held(Token, token_id)
    # To others it does not exist: an id tells nobody whose token it is.
    if held is None or (held.record.user_id != call.user.id and not call.user.admin):
        raise NotFoundError(f"You have no token {token_id}.")
    return held
