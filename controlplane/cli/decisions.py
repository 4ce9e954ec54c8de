"""Decisions as the API tells them, back in the model's form."""

from datetime import datetime

from controlplane.cli.client import Json
from controlplane.model.decisions import Decision, Reason, Step


def decision_from_json(item: Json) -> Decision:
    """One entry of `GET workloads/{id}/decisions`."""
    return Decision(
        id=item["id"],
        at=datetime.fromisoformat(item["timestamp"]).timestamp(),
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
    )
