"""What the public API's documents say of every object: fields, types, null-ness.

Written from the public documents and their clients' code, not from the shapes of ours, in a
language of its own: a `Kind` says why a value is wrong, or nothing. A field of ours that is not in
these tables is an extension, and has to be named in `EXTENSIONS`.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

Kind = Callable[[Any], str]
"""Empty: the value is right."""

ID = re.compile(r"[0-9a-f]{24}")


def _is(test: Callable[[Any], bool], name: str) -> Kind:
    return lambda value: "" if test(value) else f"{value!r} is not {name}"


def _whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _moment(value: Any) -> str:
    """RFC 3339 with a zone: Go's time.Time and Terraform refuse anything else."""
    if not isinstance(value, str) or not re.search(r"(Z|[+-]\d\d:\d\d)$", value):
        return f"{value!r} is not a time with a zone"
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return f"{value!r} is not a time"
    return ""


def _endpoint(value: Any) -> str:
    parts = urlsplit(value if isinstance(value, str) else "")
    right = parts.scheme in {"http", "https"} and parts.netloc and parts.path.endswith("/")
    return (
        "" if right and not parts.query else f"{value!r} is not an absolute URL ending in a slash"
    )


def _url(value: Any) -> str:
    right = isinstance(value, str) and urlsplit(value).scheme in {"http", "https"}
    return "" if right else f"{value!r} is not an absolute URL"


text = _is(lambda v: isinstance(v, str), "text")
filled = _is(lambda v: isinstance(v, str) and v != "", "text with something in it")
object_id = _is(lambda v: isinstance(v, str) and ID.fullmatch(v) is not None, "24 hex digits")
count = _is(lambda v: _whole_number(v) and v >= 0, "a whole number")
number = _is(lambda v: _whole_number(v) or isinstance(v, float), "a number")
flag = _is(lambda v: isinstance(v, bool), "true or false")
free = _is(lambda v: isinstance(v, dict), "an object")
null = _is(lambda v: v is None, "null")
moment: Kind = _moment
endpoint: Kind = _endpoint
url: Kind = _url


def one_of(*words: str) -> Kind:
    """One of these words."""
    return _is(lambda v: isinstance(v, str) and v in words, f"one of {words}")


def maybe(kind: Kind) -> Kind:
    """Null, or of that kind."""
    return lambda value: "" if value is None else kind(value)


def many(kind: Kind) -> Kind:
    """A list, each of that kind."""

    def check(value: Any) -> str:
        if not isinstance(value, list):
            return f"{value!r} is not a list"
        found = [f"[{n}] {why}" for n, item in enumerate(value) if (why := kind(item))]
        return "; ".join(found)

    return check


def shape(name: str, fields: dict[str, Kind], extensions: tuple[str, ...] = ()) -> Kind:
    """An object with exactly these fields, all of them present; and ours."""

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return f"{value!r} is not a {name}"
        found = [f"{name} has no {field}" for field in fields if field not in value]
        found += [
            f"{name}.{field}: {why}"
            for field, kind in fields.items()
            if field in value and (why := kind(value[field]))
        ]
        more = set(value) - set(fields) - set(extensions)
        return "; ".join([*found, *(f"{name} has {field} besides" for field in sorted(more))])

    return check


def whole_shape(fields: dict[str, Kind], **changes: Kind) -> dict[str, Kind]:
    """The same fields, some of which are known more exactly in a state."""
    unknown = set(changes) - set(fields)
    assert not unknown, unknown
    return {**fields, **changes}


IMPORTANCE = one_of("critical", "high", "moderate", "low")
TYPE = one_of("service", "nim", "agent", "mcp")
NEW_WORKLOAD_STATUS = one_of(
    *("unknown", "submitted", "provisioning", "launching", "running", "suspended"),
    *("interrupted", "stopping", "stopped", "errored", "terminated"),
)
OLD_WORKLOAD_STATUS = one_of(
    *("unknown", "submitted", "initializing", "running", "stopping", "stopped", "errored")
)
PROTON_STATUS = one_of(
    *("unknown", "submitted", "initializing", "provisioning", "launching", "running", "warming"),
    *("draining", "stopping", "stopped", "errored", "terminated", "suspended", "interrupted"),
    "restarting",
)
REPLACEMENT_STATUS = one_of(
    *("unknown", "submitted", "initializing", "awaiting_promotion", "switching", "deleting"),
    *("completed", "errored", "cleaning_up"),
)
NEW_ARTIFACT_STATUS = one_of("draft", "locked")
OLD_ARTIFACT_STATUS = one_of("draft", "registered")
PERMISSION = one_of(
    *("CAN_VIEW", "CAN_UPDATE", "CAN_DELETE", "CAN_SHARE", "CAN_MAKE_PREDICTIONS"),
    *("CAN_SHARE_ROLE_OWNER", "CAN_SHARE_ROLE_READ_WRITE", "CAN_SHARE_ROLE_READ_ONLY", "*"),
)

USER = shape(
    "UserData",
    {"id": object_id, "email": maybe(text), "username": text, "fullName": text, "userhash": text},
)
TAG = shape("Tag", {"id": filled, "name": filled, "value": text})

POLICY = shape("Policy", {"scalingMetric": filled, "target": number})
OLDER_POLICY = shape(
    "Policy",
    {"scalingMetric": filled, "target": number, "minCount": count, "maxCount": count},
    ("priority",),
)
"""Bounds in each policy: what clients of the older generations read."""


def _autoscaling(policy: Kind) -> Kind:
    return shape(
        "Autoscaling",
        {
            "enabled": flag,
            "policies": many(policy),
            "minReplicaCount": count,
            "maxReplicaCount": count,
            "cooldownPeriodMinutes": maybe(number),
        },
        ("behavior", "schedules", "shadow", "forecast"),
    )


AUTOSCALING = _autoscaling(POLICY)
OLDER_AUTOSCALING = _autoscaling(OLDER_POLICY)
BUNDLE = shape(
    "ResolvedBundle",
    {
        "id": filled,
        "cpuCount": number,
        "memoryBytes": count,
        "gpuCount": number,
        "gpuMaker": maybe(text),
        "gpuTypeLabel": maybe(text),
    },
)
ALLOCATION = shape(
    "ResourceAllocation",
    {"cpu": maybe(number), "memory": maybe(count), "gpu": maybe(number), "gpuMemory": maybe(count)},
)
GROUP_FIELDS: dict[str, Kind] = {
    "name": filled,
    "replicaCount": maybe(count),
    "autoscaling": maybe(AUTOSCALING),
    "containers": many(
        shape("ContainerRuntime", {"name": filled, "resourceAllocation": maybe(ALLOCATION)})
    ),
    "resourceBundles": many(filled),
    "bundleSelectionPolicy": one_of("availability"),
    "resolvedBundle": maybe(BUNDLE),
}
GROUP_EXTENSIONS = ("concurrencyLimitPerReplica",)
GROUP = shape("GroupRuntime", GROUP_FIELDS, GROUP_EXTENSIONS)
OLDER_GROUP = shape(
    "GroupRuntime",
    whole_shape(GROUP_FIELDS, autoscaling=maybe(OLDER_AUTOSCALING)),
    GROUP_EXTENSIONS,
)
RUNTIME_FIELDS: dict[str, Kind] = {
    "containerGroups": many(GROUP),
    "enclaveSelectionPolicy": maybe(one_of("availability", "manual")),
    "enclaves": maybe(many(filled)),
}
NEW_RUNTIME = shape("WorkloadRuntime", RUNTIME_FIELDS)
OLD_RUNTIME = shape(
    "WorkloadRuntime",
    {
        **whole_shape(RUNTIME_FIELDS, containerGroups=many(OLDER_GROUP)),
        "replicaCount": maybe(count),
        "autoscaling": maybe(OLDER_AUTOSCALING),
    },
    ("resourceBundles", "concurrencyLimitPerReplica"),
)

CONDITION = shape(
    "Condition",
    {
        "type": filled,
        "value": flag,
        "lastTransitionTime": maybe(moment),
        "reason": maybe(text),
        "message": maybe(text),
    },
)
STATUS_DETAILS_FIELDS: dict[str, Kind] = {
    "logTail": maybe(many(text)),
    "conditions": many(CONDITION),
}
STATUS_DETAILS = shape(
    "StatusDetails",
    STATUS_DETAILS_FIELDS,
    ("message", "reason", "wantedReplicas", "grantedReplicas", "readyReplicas"),
)
REQUEST_STATS = shape(
    "RequestStats",
    {
        "totalRequests": count,
        "concurrentRequests": number,
        "responseTime": maybe(number),
        "errorRate": number,
        "requestRates": many(number),
        "errorRates": many(number),
        "lastRequestAt": maybe(moment),
    },
)


def artifact_reference(status: Kind) -> Kind:
    """What a workload says about its artifact."""
    return shape(
        "ArtifactReference",
        {
            "id": object_id,
            "name": filled,
            "status": status,
            "type": TYPE,
            "version": maybe(count),
            "artifactRepositoryId": maybe(object_id),
        },
    )


REPLACEMENT_EXTENSIONS = ("origin", "previousArtifactId")
CONFIG = shape(
    "ReplacementConfig",
    {"warmupDurationMinutes": number, "keepOldVersionMinutes": number},
    ("weightSteps", "weightRule"),
)


def replacement_fields(runtime: Kind) -> dict[str, Kind]:
    """A replacement's."""
    return {
        "id": object_id,
        "name": text,
        "createdAt": moment,
        "updatedAt": moment,
        "userId": object_id,
        "tenantId": filled,
        "workloadId": object_id,
        "candidateArtifactId": object_id,
        "candidateProtonIds": many(object_id),
        "previousProtonIds": maybe(many(object_id)),
        "config": CONFIG,
        "runtime": runtime,
        "status": REPLACEMENT_STATUS,
        "strategy": one_of("rolling"),
        "switchedAt": maybe(moment),
        "message": maybe(text),
        "isDeleted": flag,
        "deletedAt": maybe(moment),
    }


def workload_fields(status: Kind, artifact_status: Kind, runtime: Kind) -> dict[str, Kind]:
    """A workload's."""
    replacement = shape("Replacement", replacement_fields(runtime), REPLACEMENT_EXTENSIONS)
    return {
        "id": object_id,
        "name": filled,
        "createdAt": moment,
        "updatedAt": moment,
        "description": text,
        "status": status,
        "importance": IMPORTANCE,
        "type": TYPE,
        "artifactId": maybe(object_id),
        "artifact": maybe(artifact_reference(artifact_status)),
        "endpoint": endpoint,
        "protonId": maybe(object_id),
        "runtime": runtime,
        "replacement": maybe(replacement),
        "requestStats": maybe(REQUEST_STATS),
        "lastResponse": maybe(moment),
        "creator": maybe(USER),
        "owners": many(USER),
        "permissions": many(PERMISSION),
        "tags": many(TAG),
        "statusDetails": maybe(STATUS_DETAILS),
    }


WORKLOAD_EXTENSIONS = ("traffic", "useCaseId", "expiresAt")


def proton_fields(runtime: Kind) -> dict[str, Kind]:
    """A proton's."""
    return {
        "id": object_id,
        "name": text,
        "createdAt": moment,
        "updatedAt": moment,
        "creator": maybe(USER),
        "status": PROTON_STATUS,
        "artifactId": object_id,
        "workloadId": object_id,
        "role": maybe(one_of("active", "candidate")),
        "runtime": runtime,
        "endpoint": url,
        "runningSince": maybe(moment),
        "statusDetails": maybe(STATUS_DETAILS),
        "deployedImages": free,
    }


PROTON_EXTENSIONS = ("weight",)

PROBE = shape(
    "ProbeConfig",
    {
        "path": text,
        "port": maybe(count),
        "scheme": one_of("HTTP", "HTTPS"),
        "host": maybe(text),
        "httpHeaders": free,
        "initialDelaySeconds": number,
        "periodSeconds": number,
        "timeoutSeconds": number,
        "failureThreshold": count,
        "successThreshold": count,
    },
)
CONTAINER_FIELDS: dict[str, Kind] = {
    "name": maybe(text),
    "description": text,
    "primary": flag,
    "port": maybe(count),
    "imageUri": maybe(text),
    "entrypoint": maybe(many(text)),
    "environmentVars": many(free),
    "readinessProbe": maybe(PROBE),
    "livenessProbe": maybe(PROBE),
    "startupProbe": maybe(PROBE),
    "securityContext": maybe(free),
    "imageBuildConfig": maybe(free),
    "build": maybe(free),
    "routes": maybe(many(free)),
}
CONTAINER = shape("Container", CONTAINER_FIELDS, ("resourceRequest",))
SPEC = shape(
    "ArtifactSpec",
    {
        "type": TYPE,
        "containerGroups": many(
            shape("ContainerGroup", {"name": filled, "containers": many(CONTAINER)})
        ),
    },
    ("storage", "a2aEnabled", "templateId"),
)


def artifact_fields(status: Kind) -> dict[str, Kind]:
    """An artifact's."""
    return {
        "id": object_id,
        "name": filled,
        "createdAt": moment,
        "updatedAt": moment,
        "spec": SPEC,
        "artifactRepositoryId": maybe(object_id),
        "description": text,
        "status": status,
        "type": TYPE,
        "version": maybe(count),
        "creator": maybe(USER),
        "tags": many(TAG),
        "permissions": many(PERMISSION),
    }


REPOSITORY = shape(
    "ArtifactRepository",
    {
        "id": object_id,
        "name": filled,
        "createdAt": moment,
        "updatedAt": moment,
        "type": TYPE,
        "lastVersionNumber": count,
        "numArtifacts": count,
        "tags": many(TAG),
        "permissions": many(PERMISSION),
        "creator": maybe(USER),
    },
)
OPERATION = shape(
    "WorkloadOperationResponse", {"status": filled, "workloadId": object_id, "trackVia": filled}
)
CONTAINER_STATUS = shape(
    "ContainerStatus",
    {
        "name": filled,
        "status": one_of("running", "waiting", "terminated", "unknown"),
        "startedAt": maybe(moment),
        "ready": flag,
        "restartCount": count,
        "image": maybe(text),
        "reason": maybe(text),
        "exitCode": maybe(number),
        "message": maybe(text),
        "lastState": maybe(
            shape(
                "LastState",
                {
                    "status": filled,
                    "reason": maybe(text),
                    "exitCode": maybe(number),
                    "message": maybe(text),
                    "startedAt": maybe(moment),
                    "finishedAt": maybe(moment),
                },
            )
        ),
    },
)
SNAPSHOT = shape(
    "ReplicaStatusesSnapshot",
    {
        "overallStatus": shape(
            "OverallStatus", {"state": PROTON_STATUS, "summary": text, "lastUpdated": maybe(moment)}
        ),
        "replicas": many(
            shape(
                "ReplicaStatus",
                {
                    "name": filled,
                    "status": one_of("pending", "running", "succeeded", "failed", "unknown"),
                    "address": maybe(text),
                    "nodeAddress": maybe(text),
                    "startedAt": maybe(moment),
                    "conditions": many(CONDITION),
                    "containers": many(CONTAINER_STATUS),
                },
                ("id", "phase", "bundle", "bundleReason"),
            )
        ),
    },
    ("logTail",),
)
EVENT = shape(
    "WorkloadEvent",
    {
        "id": filled,
        "workloadId": object_id,
        "timestamp": moment,
        "eventType": filled,
        "actorId": maybe(text),
        "details": free,
    },
)
PERIOD = shape("Period", {"start": moment, "end": moment})
STATS = shape(
    "ProtonRequestStats",
    {
        "period": PERIOD,
        "metrics": shape(
            "Metrics",
            {
                "totalRequests": count,
                "requestsPerMinute": count,
                "concurrentRequests": count,
                "responseTime": maybe(count),
                "slowRequests": count,
                "serverErrors": count,
                "userErrors": count,
                "totalErrorRate": number,
                "serverErrorRate": number,
                "userErrorRate": number,
            },
        ),
    },
    ("protonId",),
)
SHARED_ROLE = shape(
    "SharedRole",
    {
        "id": object_id,
        "name": text,
        "role": filled,
        "shareRecipientType": one_of("user", "group", "organization", "role"),
    },
)
RELATED = shape("Related", {"count": count, "data": many(free)})
ERROR = shape("Error", {"detail": filled})
INVALID = shape(
    "HTTPValidationError",
    {
        "detail": many(
            shape(
                "ValidationError",
                {
                    "loc": many(_is(lambda v: isinstance(v, str | int), "a key")),
                    "msg": filled,
                    "type": filled,
                },
                ("input", "ctx"),
            )
        )
    },
)


def page(item: Kind) -> Kind:
    """A list's envelope."""
    return shape(
        "Page",
        {
            "totalCount": count,
            "count": count,
            "next": maybe(url),
            "previous": maybe(url),
            "data": many(item),
        },
    )
