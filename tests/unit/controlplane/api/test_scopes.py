import itertools

import pytest

from controlplane.api.scopes import refusal
from controlplane.model.people import Scope, Token

MINE, OTHER = "a" * 24, "b" * 24
DEPLOYMENTS = {"d" * 24: MINE, "e" * 24: OTHER}

READS = ("GET", "HEAD", "OPTIONS")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
MAY = {
    Scope.FULL: {*READS, *WRITES},
    Scope.READ: {*READS},
    Scope.WORKLOAD: {*READS},
    Scope.INVOKE: set(),
}


def refused(path="/workloads", method="GET", scope=Scope.FULL, workloads=()):
    token = Token(
        id="1" * 24,
        name="t",
        digest="d",
        prefix="p",
        user_id="2" * 24,
        created_at=1.0,
        scope=scope,
        workload_ids=workloads,
    )
    return refusal(token, method=method, path=path, workload_of=DEPLOYMENTS.get)


@pytest.mark.parametrize(
    ("scope", "method"), list(itertools.product(Scope, [*READS, *WRITES])), ids=str
)
def test_a_scope_says_which_methods_a_token_is_for(scope, method):
    assert (refused(method=method, scope=scope) is None) == (method in MAY[scope])


@pytest.mark.parametrize(
    ("path", "may"),
    [
        (f"/workloads/{MINE}", True),
        (f"/workloads/{MINE}/protons/{OTHER}/statusDetails", True),
        (f"/console/workloads/{MINE}/start", True),
        (f"/otel/workload/{MINE}/logs", True),
        (f"/deployments/{'d' * 24}", True),
        (f"/console/deployments/{'d' * 24}/stats", True),
        ("/version", True),
        ("/account/info", True),
        (f"/workloads/{OTHER}", False),
        (f"/workloads/{OTHER}/{MINE}", False),
        (f"/console/workloads/{OTHER}", False),
        (f"/otel/workload/{OTHER}/logs", False),
        (f"/deployments/{'e' * 24}", False),
        (f"/deployments/{'f' * 24}", False),
        (f"/artifacts/{MINE}", False),
        (f"/users/{MINE}", False),
        (f"/console/console/workloads/{MINE}", False),
        ("/workloads", False),
        ("/workloads/stats", False),
        ("/account/apiKeys", False),
        ("/audit", False),
        ("", False),
    ],
)
def test_a_token_of_some_workloads_reaches_their_paths_only(path, may):
    assert (refused(path, workloads=(MINE,)) is None) == may
    assert refused(path) is None


def test_both_limits_count():
    path = f"/workloads/{MINE}"
    assert refused(path, "PATCH", Scope.READ, (MINE,)) is not None
    assert refused(path, "GET", Scope.READ, (MINE,)) is None
    assert refused(path, "GET", Scope.INVOKE, (MINE,)) is not None


def test_a_refusal_says_what_the_token_is_for():
    assert "scope read" in refused(method="POST", scope=Scope.READ)
    assert "scope workload" in refused(method="POST", scope=Scope.WORKLOAD)
    assert "invoke URLs" in refused(scope=Scope.INVOKE)
    assert MINE in refused(workloads=(MINE,))
