"""Routes that clients ask first: whose token this is, and which API this is."""

from typing import Final

from fastapi import APIRouter

from controlplane import __version__
from controlplane.api.call import PlainCall
from controlplane.api.errors import RESPONSES
from controlplane.model.states import EVERYBODY
from controlplane.wire.people import AccountInfo, Limits, Version

API_VERSION: Final = (2, 49)
"""The public API's version that this one is compatible with."""

router: Final = APIRouter(tags=["account"], responses=RESPONSES)


@router.get("/account/info", response_model=AccountInfo)
async def get_account(call: PlainCall) -> AccountInfo:
    """The caller, and what the installation allows."""
    user = call.user
    api = call.services.settings.api
    return AccountInfo(
        uid=user.id,
        username=user.username,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        org_id=EVERYBODY,
        tenant_id=None,
        admin=user.admin,
        limits=Limits(
            max_concurrent_workloads=api.max_concurrent_workloads,
            max_workload_replicas=api.max_workload_replicas,
        ),
    )


@router.get("/version", response_model=Version)
async def get_version(call: PlainCall) -> Version:
    """The API's version; a good way to check a token."""
    major, minor = API_VERSION
    text = f"{major}.{minor}.0"
    return Version(
        major=major,
        minor=minor,
        version_string=text,
        released_version=text,
        server=f"tidegate {__version__}",
    )
