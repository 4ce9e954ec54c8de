"""What is known about a replacement: its records, what its protons do, what gateways report."""

from collections.abc import Sequence

from controlplane.api.services import Services
from controlplane.lifecycle.plans import Held
from controlplane.lifecycle.status import proton_status
from controlplane.lifecycle.underway import Evidence, Patience, Sight, Situation
from controlplane.lifecycle.weights import Judgement
from controlplane.model.reports import LoadReport
from controlplane.model.sections import Settings
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Proton, Scale, Workload


def situation(services: Services, workload: Held[Workload]) -> Situation | None:
    """A workload's replacement and its protons; None when it has none."""
    replacement = workload.record.replacement
    if replacement is None:
        return None
    return Situation(
        workload=workload,
        replacement=replacement,
        candidate=_held(services, replacement.candidate_proton_id),
        previous=_held(services, replacement.previous_proton_id),
    )


def evidence(
    services: Services,
    found: Situation,
    *,
    reports: Sequence[LoadReport],
    judgement: Judgement | None = None,
) -> Evidence:
    """What is known besides the records.

    Args:
        services: Where replicas and scales are.
        found: The replacement.
        reports: Of all gateway workers that are alive; none where they do not matter.
        judgement: Of the candidate, in a weight step.
    """
    protons = [held.record for held in (found.candidate, found.previous) if held is not None]
    return Evidence(
        sights={proton.id: sight(services, proton) for proton in protons},
        acknowledged=min((report.revision for report in reports), default=None),
        queued={
            proton.id: sum(
                load.queued
                for report in reports
                if (load := report.protons.get(proton.id)) is not None
            )
            for proton in protons
        },
        judgement=judgement,
    )


def sight(services: Services, proton: Proton) -> Sight:
    """What a proton does now.

    Errored is what the autoscaler has given up: a replica that failed once is started again.
    """
    scale = services.mirror.get(Scale, proton.id)
    status = proton_status(proton, scale=scale, replicas=services.replicas[proton.id].values())
    return Sight(
        state=status.state,
        ready=status.ready_replicas,
        wanted=status.wanted_replicas,
        errored=scale is not None and scale.errored,
        message=status.message,
    )


def ready_replicas(services: Services, workload: Workload) -> int:
    """Replicas that serve a workload now."""
    replicas = services.replicas[workload.active_proton_id or ""].values()
    return sum(replica.phase is ReplicaPhase.READY for replica in replicas)


def patience(settings: Settings) -> Patience:
    """The settings that matter for replacements."""
    return Patience(
        candidate_s=settings.conductor.candidate_timeout_s,
        drain_s=settings.conductor.drain_timeout_s,
        window_s=settings.autoscaler.stable_window_s,
        draft_ttl_s=settings.api.draft_ttl_s,
    )


def _held(services: Services, proton_id: str | None) -> Held[Proton] | None:
    return None if proton_id is None else services.held(Proton, proton_id)
