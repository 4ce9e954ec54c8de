"""Routes for whoever watches this process. None needs a token."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field
from starlette.responses import JSONResponse, Response

from controlplane.api.errors import OPEN_RESPONSES
from controlplane.api.services import Services
from controlplane.wire.base import Shape

router: Final = APIRouter(tags=["health"], responses=OPEN_RESPONSES)


class Health(Shape):
    """How this process is."""

    status: str = Field(description="`ok`, or one sentence.")


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


AtHand = Annotated[Services, Depends(_services)]


@router.get("/livez", response_model=Health)
async def livez() -> dict[str, str]:
    """200 while the process answers at all; the store does not matter."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=Health,
    responses={
        503: {
            "model": Health,
            "description": "The store is away: reads may be old, writes fail.",
        }
    },
)
async def readyz(services: AtHand) -> JSONResponse:
    """200 while writes can succeed and reads are fresh."""
    if not services.store.available:
        return JSONResponse({"status": "the store is not available"}, 503)
    if not services.mirror.healthy:
        return JSONResponse({"status": "the copy of the store's records is not fresh"}, 503)
    return JSONResponse({"status": "ok"})


_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/metrics", response_class=Response, responses=_PAGE)
async def metrics(services: AtHand) -> Response:
    """This process's metrics in Prometheus' text format."""
    return Response(services.telemetry.page(), media_type=CONTENT_TYPE_LATEST)
