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

from fastapi import FastAPI

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
    sharing,
    statistics,
    workloads,
)
from controlplane.api.edge import API_PREFIX, Authentication, Edge
from controlplane.api.methods import Methods
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
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    errors.install(app)
    # First, because `/workloads/stats` is no workload's id.
    for prefix in ("/workloads", "/console/workloads"):
        app.include_router(statistics.router, prefix=f"{API_PREFIX}{prefix}")
    for prefix, module in (
        ("/artifacts", artifacts),
        ("/deployments", deployments),
        ("/workloads", workloads),
        ("/workloads", protons),
        ("/workloads", replacements),
    ):
        registry = "/registry" if module is artifacts else "/console"
        app.include_router(module.new, prefix=f"{API_PREFIX}{prefix}")
        app.include_router(module.common, prefix=f"{API_PREFIX}{prefix}")
        app.include_router(module.old, prefix=f"{API_PREFIX}{registry}{prefix}")
        app.include_router(module.common, prefix=f"{API_PREFIX}{registry}{prefix}")
    for prefix in ("/workloads", "/console/workloads"):
        app.include_router(promotion.router, prefix=f"{API_PREFIX}{prefix}")
        app.include_router(related.router, prefix=f"{API_PREFIX}{prefix}")
        app.include_router(agents.workload_router, prefix=f"{API_PREFIX}{prefix}")
    for prefix in ("/artifacts", "/registry/artifacts"):
        app.include_router(builds.router, prefix=f"{API_PREFIX}{prefix}")
    app.include_router(operations.router, prefix=f"{API_PREFIX}/workloads")
    app.include_router(operations.router, prefix=f"{API_PREFIX}/console/workloads")
    app.include_router(repositories.router, prefix=f"{API_PREFIX}/artifactRepositories")
    app.include_router(sharing.router, prefix=API_PREFIX)
    app.include_router(credentials.router, prefix=f"{API_PREFIX}/credentials")
    app.include_router(agents.list_router, prefix=f"{API_PREFIX}/agentCards")
    app.include_router(account.router, prefix=API_PREFIX)
    app.include_router(bundles.router, prefix=API_PREFIX)
    app.include_router(api_keys.router, prefix=API_PREFIX)
    app.include_router(people.router, prefix=API_PREFIX)
    app.include_router(audit.router, prefix=API_PREFIX)
    app.include_router(otel.router, prefix=API_PREFIX)
    app.include_router(otel_ingest.router, prefix=API_PREFIX)
    app.include_router(documents.router)
    app.include_router(health.router)
    app.add_middleware(Methods, application=app)
    app.add_middleware(Authentication, services=services)
    app.add_middleware(Edge, services=services)
    return app
