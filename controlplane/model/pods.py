"""From the facts of a pod to a replica's phase: the predicates of the contract's states.

The first line that holds is the phase. A pod is as bad as its worst container, sidecars included.

    a pod that                                                                  is
    --------------------------------------------------------------------------  ------------
    had to make room for another (preempted, evicted)                           interrupted
    is being deleted                                                            stopping
    failed, or ended by itself (a service does not end, not even with code 0)   failed
    has a container that cannot start, or crashes again and again               failed
    nobody can tell anything about                                              lost
    is pending without a node                                                   pending
    is pending on a node that still prepares it (volumes, secrets, network)     provisioning
    is pending on a node that is done with that (it pulls images, starts)       launching
    runs, chosen for removal                                                    draining
    runs, all containers ready                                                  ready
    runs, one that is not ready has ended before and is started again           restarting
    runs, was ready before                                                      unready
    runs                                                                        launching
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controlplane.model.states import ReplicaPhase


class PodPhase(StrEnum):
    """A pod's own phase, in the contract's lower case."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


HOPELESS: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of waiting containers that mend only when somebody acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """One container of a pod."""

    ready: bool = False
    waiting_for: str = ""
    """The reason of a waiting container; empty: it does not wait, or gives none."""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What a reconciler knows about a pod."""

    phase: PodPhase
    node: str | None = None
    prepared: bool = False
    """The node has made its sandbox (condition `PodReadyToStartContainers`)."""
    containers: tuple[ContainerFacts, ...] = ()
    deleting: bool = False
    displaced: bool = False
    """Preempted or evicted (condition `DisruptionTarget`)."""
    draining: bool = False
    """The autoscaler chose it for removal, and it finishes what it has."""
    was_ready: bool = False


def phase_of(pod: PodFacts) -> ReplicaPhase:
    """The phase of the replica that a pod is: the docstring's table."""
    if pod.displaced:
        return ReplicaPhase.INTERRUPTED
    if pod.deleting:
        return ReplicaPhase.STOPPING
    if pod.phase in {PodPhase.FAILED, PodPhase.SUCCEEDED}:
        return ReplicaPhase.FAILED
    if any(container.waiting_for in HOPELESS for container in pod.containers):
        return ReplicaPhase.FAILED
    if pod.phase is PodPhase.UNKNOWN:
        return ReplicaPhase.LOST
    return _starting(pod) if pod.phase is PodPhase.PENDING else _running(pod)


def _starting(pod: PodFacts) -> ReplicaPhase:
    if pod.node is None:
        return ReplicaPhase.PENDING
    return ReplicaPhase.LAUNCHING if pod.prepared else ReplicaPhase.PROVISIONING


def _running(pod: PodFacts) -> ReplicaPhase:
    if pod.draining:
        return ReplicaPhase.DRAINING
    late = [container for container in pod.containers if not container.ready]
    if pod.containers and not late:
        return ReplicaPhase.READY
    if any(container.restarts for container in late):
        return ReplicaPhase.RESTARTING
    return ReplicaPhase.UNREADY if pod.was_ready else ReplicaPhase.LAUNCHING
