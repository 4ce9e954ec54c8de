"""Whether the numbers are good enough to take replicas away.

    doubt         when                                                           setting
    ------------  -------------------------------------------------------------  ------------------
    coverage      of the gateway workers, or of the window, too little is known  quality_coverage_
                                                                                 ratio
    freshness     a gateway worker that still counts reported too long ago       quality_age_s
    disagreement  the replicas' own count of requests differs too much from the  quality_
                  gateways': somebody else sends them requests, or one of both   disagreement_ratio
                  counts wrongly

While there is a doubt the count may rise, but not fall, and says so: whoever cannot see cannot
know that a replica is idle. All three are about load; a proton without a policy about requests in
flight does not care, except on its way to zero.
"""

from autoscaler.core.notes import Note
from autoscaler.core.steps import LoadView
from controlplane.model.sections import AutoscalerSettings


def disagreement(gateways: int, replicas: float | None, *, ready: int) -> float | None:
    """How far two counts of requests in flight are apart, as a share of the larger one.

    One request per replica is no difference: each page is read at another instant.

    Args:
        gateways: Requests that gateways have with replicas.
        replicas: The replicas' own count; None: they do not say.
        ready: Replicas that were asked.
    """
    if replicas is None:
        return None
    apart = abs(gateways - replicas)
    return apart / max(gateways, replicas) if apart > max(1, ready) else 0.0


def doubt(
    load: LoadView, *, running: float | None, ready: int, settings: AutoscalerSettings
) -> Note | None:
    """Why nothing should shrink on these numbers; None when they are good.

    Args:
        load: What gateways say.
        running: Requests in flight by the replicas' own count; None: they do not say.
        ready: Replicas that passed their readiness check.
        settings: The thresholds.
    """
    if load.coverage_ratio < settings.quality_coverage_ratio:
        if load.silent:
            workers = load.workers + load.silent
            return ("%d of %d gateway workers are silent", load.silent, workers)
        return "the window is not covered yet"
    if load.age_s > settings.quality_age_s:
        return ("a gateway worker's last report is %.1f s old", load.age_s)
    apart = disagreement(load.in_flight, running, ready=ready)
    if apart is not None and apart > settings.quality_disagreement_ratio:
        return ("gateways count %d in flight, replicas %g", load.in_flight, running)
    return None
