"""Decisions as the API tells them, back in the model's form."""

from datetime import datetime

from controlplane.cli.client import Json
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.grants import Grant, Holder, Refusal
from controlplane.model.states import Importance


def decision_from_json(item: Json) -> Decision:
    """One entry of `GET workloads/{id}/decisions`."""
    return Decision(
        id=item["id"],
        at=_epoch(item["timestamp"]),
        workload_id=item["workloadId"],
        proton_id=item["protonId"],
        replicas=item["replicas"],
        previous_replicas=item["previousReplicas"],
        reason=Reason(item["reason"]),
        steps=tuple(
            Step(name=step["name"], value=step["value"], note=step["note"])
            for step in item["steps"]
        ),
        inputs=item["inputs"],
        next=item["next"],
        grant=_grant(item["grant"]) if item.get("grant") else None,
    )


def _grant(item: Json) -> Grant:
    return Grant(
        granted=item["granted"],
        refusal=Refusal(item["refusal"]),
        position=item["position"],
        line=item["line"],
        since=_epoch(item["since"]),
        until=_epoch(item["until"]) if item["until"] else None,
        holders=tuple(
            Holder(
                workload_id=holder["workloadId"],
                proton_id=holder["protonId"],
                importance=Importance(holder["importance"]),
                replicas=holder["replicas"],
                since=_epoch(holder["since"]),
            )
            for holder in item["holders"]
        ),
        gave_way_to=item["gaveWayTo"],
        decided_reason=item["decidedReason"],
        note=item["note"],
    )


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
