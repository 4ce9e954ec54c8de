"""The API's description: OpenAPI as JSON and YAML, and a page that renders it without network."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

import yaml
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

router: Final = APIRouter(tags=["description"])

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


@router.get("/openapi.json", response_class=JSONResponse)
@router.get("/api/v2/openapi.json", response_class=JSONResponse)
async def openapi_json(request: Request) -> JSONResponse:
    """This description as JSON."""
    return JSONResponse(_document(request))


@router.get("/api/v2/openapi.yaml", response_class=Response)
async def openapi_yaml(request: Request) -> Response:
    """This description as YAML."""
    state = request.app.state
    if not hasattr(state, "openapi_yaml"):  # some work, once
        document = _document(request)
        state.openapi_yaml = await asyncio.to_thread(
            yaml.dump, document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True
        )
    return Response(state.openapi_yaml, media_type="application/yaml")


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    """This description as a page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


def _document(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = request.app.openapi()
    return document
