"""Routes for whoever watches this process. None needs a token."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from controlplane.api.services import Services

router: Final = APIRouter(tags=["health"])


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


AtHand = Annotated[Services, Depends(_services)]


@router.get("/livez", response_class=JSONResponse)
async def livez() -> dict[str, str]:
    """200 while the process answers at all; the store does not matter."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_class=JSONResponse,
    responses={503: {"description": "The store is away: reads may be old, writes fail."}},
)
async def readyz(services: AtHand) -> JSONResponse:
    """200 while writes can succeed and reads are fresh."""
    if not services.store.available:
        return JSONResponse({"status": "the store is not available"}, 503)
    if not services.mirror.healthy:
        return JSONResponse({"status": "the copy of the store's records is not fresh"}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=Response)
async def metrics(services: AtHand) -> Response:
    """This process's metrics in Prometheus' text format."""
    return Response(services.telemetry.page(), media_type=CONTENT_TYPE_LATEST)
