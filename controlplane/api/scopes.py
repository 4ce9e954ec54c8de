"""What a token may be used for in the API, besides what its user's roles allow.

    token                  may ask for
    ---------------------  -------------------------------------------------------------------
    scope `full`           everything
    scope `read`           GET and HEAD
    scope `invoke`         nothing here: it is for invoke URLs
    scope `workload`       GET and HEAD, never as an admin; replicas carry it
    limited to workloads   paths of these workloads and of their deployments; the account

The gateway has its own half of this: invoke URLs take every scope but `read`.
"""

from collections.abc import Callable
from typing import Final

from controlplane.model.people import Scope, Token

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ABOUT_ITSELF: Final = frozenset({"/version", "/account/info"})
"""What every client asks first."""


def refusal(
    token: Token, *, method: str, path: str, workload_of: Callable[[str], str | None]
) -> str | None:
    """Why a token may not be used for a request; None: it may.

    Args:
        token: A valid one.
        method: The request's.
        path: Below the API's prefix, without a slash at its end.
        workload_of: The workload that a deployment id stands on.
    """
    if token.scope is Scope.INVOKE:
        return "This token has the scope invoke: it works at invoke URLs only."
    if token.scope in {Scope.READ, Scope.WORKLOAD} and method not in READING:
        return f"This token has the scope {token.scope}: it may not change anything."
    if not token.workload_ids or path in ABOUT_ITSELF:
        return None
    if _workload(path, workload_of) in token.workload_ids:
        return None
    ids = ", ".join(token.workload_ids)
    return f"This token works for these workloads only: {ids}."


def _workload(path: str, workload_of: Callable[[str], str | None]) -> str | None:
    """The workload that a path is about; None: no particular one."""
    match path.removeprefix("/console").split("/"):
        case ["", "workloads", workload_id, *_] | ["", "otel", "workload", workload_id, *_]:
            return workload_id
        case ["", "deployments", deployment_id, *_]:
            return workload_of(deployment_id)
    return None
