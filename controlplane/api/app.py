"""The application: routes of both path families, errors, the layers before them.

    new family             old family                     router
    ---------------------  -----------------------------  ------------
    /artifacts             /registry/artifacts            artifacts, builds
    /artifactRepositories                                 repositories
    /workloads             /console/workloads             workloads, operations, protons,
                                                          replacements, promotion, related, agents,
                                                          statistics
    /deployments           /console/deployments           deployments
    /agentCards                                           agents
    …/{id}/sharedRoles     the same                       sharing
    /account/info, /version                               account
    /account/apiKeys, /users, /audit                      api_keys, people, audit

All of them under `/api/v2`, with and without a slash at the end. Beside it: `/docs`,
`/openapi.json`, `/livez`, `/readyz`, `/metrics`.
"""

from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from controlplane import __version__
from controlplane.api import (
    account,
    agents,
    api_keys,
    artifacts,
    audit,
    builds,
    bundles,
    credentials,
    deployments,
    documents,
    errors,
    health,
    operations,
    otel,
    otel_ingest,
    people,
    promotion,
    protons,
    related,
    replacements,
    repositories,
    shadows,
    sharing,
    statistics,
    workloads,
)
from controlplane.api.edge import API_PREFIX, Authentication, Edge
from controlplane.api.methods import Methods, Paths
from controlplane.api.services import Services

DESCRIPTION = """Artifacts say what to run, workloads give it a stable invoke URL, protons run it.

Every route answers with and without a slash at its end. `/workloads`, `/artifacts` speak the
current generation of the API; `/console/...` and `/registry/...` speak v2.41; both accept the
bodies of both. `GET` answers carry an `ETag`; send it back as `If-Match` to have a change refused
with 409 when somebody else was faster."""


def create_app(services: Services) -> FastAPI:
    """The ASGI application of one process.

    Args:
        services: Connected, with a mirror that has started.
    """
    app = FastAPI(
        title="Tidegate",
        version=__version__,
        description=DESCRIPTION,
        routes=list(_routes()),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    errors.install(app)
    app.add_middleware(Methods, paths=_paths())
    app.add_middleware(Authentication, services=services)
    app.add_middleware(Edge, services=services)
    return app


@cache
def _paths() -> Paths:
    """The methods of every path.

    FastAPI makes the route of an included router when it first looks at it, which takes some
    milliseconds each: this looks at all of them, before any request.
    """
    found = iter_route_contexts(_routes())
    return Paths((context.path_format or "", context.methods or ()) for context in found)


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route; they belong to no application and keep nothing of one."""
    root = APIRouter(redirect_slashes=False)
    # First, because `/workloads/stats` is no workload's id.
    for prefix in ("/workloads", "/console/workloads"):
        root.include_router(statistics.router, prefix=f"{API_PREFIX}{prefix}")
    for prefix, module in (
        ("/artifacts", artifacts),
        ("/deployments", deployments),
        ("/workloads", workloads),
        ("/workloads", protons),
        ("/workloads", shadows),
        ("/workloads", replacements),
    ):
        registry = "/registry" if module is artifacts else "/console"
        root.include_router(module.new, prefix=f"{API_PREFIX}{prefix}")
        root.include_router(module.common, prefix=f"{API_PREFIX}{prefix}")
        root.include_router(module.old, prefix=f"{API_PREFIX}{registry}{prefix}")
        root.include_router(module.common, prefix=f"{API_PREFIX}{registry}{prefix}")
    for prefix in ("/workloads", "/console/workloads"):
        root.include_router(promotion.router, prefix=f"{API_PREFIX}{prefix}")
        root.include_router(related.router, prefix=f"{API_PREFIX}{prefix}")
        root.include_router(agents.workload_router, prefix=f"{API_PREFIX}{prefix}")
    for prefix in ("/artifacts", "/registry/artifacts"):
        root.include_router(builds.router, prefix=f"{API_PREFIX}{prefix}")
    root.include_router(operations.router, prefix=f"{API_PREFIX}/workloads")
    root.include_router(operations.router, prefix=f"{API_PREFIX}/console/workloads")
    root.include_router(repositories.router, prefix=f"{API_PREFIX}/artifactRepositories")
    root.include_router(sharing.router, prefix=API_PREFIX)
    root.include_router(credentials.router, prefix=f"{API_PREFIX}/credentials")
    root.include_router(agents.list_router, prefix=f"{API_PREFIX}/agentCards")
    root.include_router(account.router, prefix=API_PREFIX)
    root.include_router(bundles.router, prefix=API_PREFIX)
    root.include_router(api_keys.router, prefix=API_PREFIX)
    root.include_router(people.router, prefix=API_PREFIX)
    root.include_router(audit.router, prefix=API_PREFIX)
    root.include_router(otel.router, prefix=API_PREFIX)
    root.include_router(otel_ingest.router, prefix=API_PREFIX)
    root.include_router(documents.router)
    root.include_router(health.router)
    return tuple(root.routes)
