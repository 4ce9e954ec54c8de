"""What parameters mean that say nothing of themselves, for the OpenAPI document."""

import re
from typing import Final

_PARAMETERS: Final = {
    "action": "`created`, `changed` or `deleted`.",
    "artifactId": "Only those on this artifact.",
    "artifactStatus": "Only those whose artifact has one of these statuses; may be repeated.",
    "deploymentIds": "Only these; not together with `workloadIds`.",
    "endTime": "RFC 3339 with a zone: only what is older.",
    "entityType": "`workload`.",
    "entityId": "The workload's id.",
    "histogramBuckets": "Also the buckets of histograms.",
    "ids": "Only these; may be repeated.",
    "importance": "Only those of one of these; may be repeated.",
    "kind": "The kind of record, or of shadow.",
    "limit": "Most items on a page.",
    "maxSpanDuration": "Only traces with a span of at most so long, nanoseconds.",
    "maxTraceCost": "Only traces that cost at most this.",
    "metricType": "Only metrics of this kind.",
    "metric_name": "Which number.",
    "minSpanDuration": "Only traces with a span of at least so long, nanoseconds.",
    "minTraceCost": "Only traces that cost at least this.",
    "minTraceDuration": "Only traces of at least so long, nanoseconds.",
    "offset": "How many items to leave out before the page.",
    "orderBy": "A field; with `-` before it descending. Ids decide between equals.",
    "protonId": "One of the workload's protons.",
    "repositoryId": "Only those of this artifact repository.",
    "rootSpanName": "Only traces whose root span has this name.",
    "search": "Upper or lower case does not matter.",
    "searchKeys": "Names of attributes.",
    "searchValues": "Values of the attributes named by `searchKeys`, in their order.",
    "sort": "A field; with `-` before it descending. Ids decide between equals.",
    "sortBy": "A field.",
    "sortDirection": "`asc` or `desc`.",
    "spanId": "Only what belongs to this span.",
    "startTime": "RFC 3339 with a zone: only what is not older.",
    "status": "Only those of one of these; may be repeated.",
    "traceId": "The trace: 32 hex digits.",
    "transferTo": "Id of the user who becomes owner of what would have none.",
    "type": "Only those of this type.",
    "types": "Only those of one of these types; may be repeated.",
    "workloadId": "Only those of this workload.",
    "workloadIds": "Only these, separated by commas or repeated.",
}
_ID: Final = re.compile(r"(\w+)_id")


def meaning(name: str, schema: dict[str, object]) -> str:
    """One sentence about a parameter; empty where nothing is known of it."""
    own = schema.get("description")
    if isinstance(own, str):
        return own
    found = _ID.fullmatch(name)
    if found is not None:
        return f"Id of the {found[1].replace('_', ' ')}: 24 hex digits."
    return _PARAMETERS.get(name, "")
