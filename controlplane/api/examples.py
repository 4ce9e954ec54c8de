"""Bodies that the OpenAPI document shows, by the name of their shape. A test sends each of them."""

from typing import Any, Final

from controlplane.model.states import EVERYBODY

_CONTAINER: Final = {
    "name": "main",
    "imageUri": "example/hello:1",
    "port": 8000,
    "readinessProbe": {"path": "/healthz"},
}
_ARTIFACT: Final = {"name": "hello", "spec": {"containerGroups": [{"containers": [_CONTAINER]}]}}
_AUTOSCALING: Final = {
    "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 4}],
    "minReplicaCount": 0,
    "maxReplicaCount": 3,
}
_RUNTIME: Final = {"containerGroups": [{"autoscaling": _AUTOSCALING}]}
_WORKLOAD: Final = {"name": "hello", "artifact": _ARTIFACT, "runtime": _RUNTIME}


def _one(summary: str, value: object) -> dict[str, Any]:
    return {"example": {"summary": summary, "value": value}}


BODIES: Final[dict[str, dict[str, Any]]] = {
    "ArtifactInput": _one("One container behind a port", _ARTIFACT),
    "ArtifactPatch": _one("Lock it for ever", {"status": "locked"}),
    "WorkloadInput": _one("An inline artifact that scales from zero", _WORKLOAD),
    "OldWorkloadInput": _one("An inline artifact that scales from zero", _WORKLOAD),
    "WorkloadPatch": _one("More important", {"importance": "high"}),
    "SettingsInput": _one(
        "A fixed number of replicas", {"runtime": {"containerGroups": [{"replicaCount": 2}]}}
    ),
    "StartReplacement": _one(
        "Another artifact, after two minutes of warming up",
        {
            "artifactId": "0123456789abcdef01234567",
            "strategy": "rolling",
            "config": {"warmupDurationMinutes": 2, "keepOldVersionMinutes": 5},
        },
    ),
    "BuildInput": _one("All containers", {}),
    "RepositoryPatch": _one("A tag", {"tags": [{"name": "team", "value": "risk"}]}),
    "CredentialInput": _one(
        "A token of another API", {"name": "search", "credentialType": "api_token", "apiToken": "s"}
    ),
    "CredentialPatch": _one("Another name", {"name": "search engine"}),
    "DeploymentInput": _one(
        "A second URL", {"name": "production", "workloadId": "0123456789abcdef01234567"}
    ),
    "DeploymentPatch": _one("More important", {"importance": "high"}),
    "UserPatch": _one("None of the user's tokens works meanwhile", {"disabled": True}),
    "CloneInput": _one("The clone's name", {"name": "hello again"}),
    "Empty": _one("Nothing", {}),
    "SharedRolesInput": _one(
        "An owner, and all users may invoke",
        {
            "operation": "updateRoles",
            "roles": [
                {"shareRecipientType": "user", "username": "admin", "role": "OWNER"},
                {"shareRecipientType": "organization", "id": EVERYBODY, "role": "CONSUMER"},
            ],
        },
    ),
    "UserInput": _one(
        "A user", {"username": "ann", "email": "ann@example.com", "firstName": "Ann"}
    ),
    "ApiKeyInput": _one(
        "For a day, and to look only", {"name": "ci", "expiresInSeconds": 86_400, "scope": "read"}
    ),
}
