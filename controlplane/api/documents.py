"""The API's description: OpenAPI as JSON and YAML, and a page that renders it without network."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

import yaml
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from controlplane.api import description
from controlplane.api.errors import OPEN_RESPONSES

router: Final = APIRouter(tags=["description"], responses=OPEN_RESPONSES)

_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's where PyYAML was built with it: three times as fast."""

_PAGE: Final = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")


def _hashes(element: str) -> str:
    found = re.findall(rf"<{element}>(.*?)</{element}>", _PAGE, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in found)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


_POLICY: Final = (
    f"default-src 'none'; connect-src 'self'; script-src {_hashes('script')};"
    f" style-src {_hashes('style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only the page's own script and style run, and they reach this server only."""


_YAML: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}
}


@router.get("/openapi.json", operation_id="openapiJsonAtRoot", response_model=dict[str, Any])
@router.get("/api/v2/openapi.json", response_model=dict[str, Any])
async def openapi_json(request: Request) -> JSONResponse:
    """This description as JSON."""
    return JSONResponse(await _document(request.app))


@router.get("/api/v2/openapi.yaml", response_class=Response, responses=_YAML)
async def openapi_yaml(request: Request) -> Response:
    """This description as YAML."""
    state = request.app.state
    if not hasattr(state, "openapi_yaml"):  # some work, once
        document = await _document(request.app)
        state.openapi_yaml = await asyncio.to_thread(
            yaml.dump, document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True
        )
    return Response(state.openapi_yaml, media_type="application/yaml")


async def _document(app: FastAPI) -> dict[str, Any]:
    """The document; to make it takes seconds, which must not be the loop's."""
    return await asyncio.to_thread(description.document, app)


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    """This description as a page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
