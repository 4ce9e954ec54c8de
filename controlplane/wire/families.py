"""The two path families of the API and the words in which they differ.

what                     old (`/console/...`, `/registry/...`)   new (`/workloads`, ...)
-----------------------  --------------------------------------  -----------------------
a locked artifact is     `registered`                            `locked`
workload states          seven                                   eleven
default page size        100                                     10
ordering parameter       `sort`                                  `orderBy`
a workload's name        optional                                required
runtime in answers       also `replicaCount`, `autoscaling`      groups only
                         at the top
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from controlplane.model.states import ProtonState

OLD_PREFIXES: Final = ("/api/v2/console/", "/api/v2/registry/")


class Family(StrEnum):
    """Which generation's words an answer uses."""

    OLD = "v2.41"
    NEW = "current"


def family_of(path: str) -> Family:
    """The family that a request's path belongs to."""
    return Family.OLD if path.startswith(OLD_PREFIXES) else Family.NEW


_NEW_STATES: Final[dict[ProtonState, str]] = {
    ProtonState.INITIALIZING: "launching",
    ProtonState.WARMING: "running",
    ProtonState.DRAINING: "running",
}
_OLD_STATES: Final[dict[ProtonState, str]] = {
    **_NEW_STATES,
    ProtonState.PROVISIONING: "initializing",
    ProtonState.LAUNCHING: "initializing",
    ProtonState.INITIALIZING: "initializing",
    ProtonState.INTERRUPTED: "submitted",
    ProtonState.SUSPENDED: "running",
    ProtonState.TERMINATED: "stopped",
}


def workload_status(state: ProtonState, family: Family) -> str:
    """A workload's status in a family's words.

    The new family hides states that only protons have; the old one knows seven words, and shows
    a workload at zero replicas as `running`: it answers, after a cold start.
    """
    table = _OLD_STATES if family is Family.OLD else _NEW_STATES
    return table.get(state, state.value)


def states_called(words: Collection[str], family: Family) -> frozenset[ProtonState]:
    """The states that a filter means: those that the family calls so, and those called so inside.

    `initializing` is v2.41's word for the way up, in the new family's filters too.
    """
    return frozenset(
        state
        for state in ProtonState
        if state.value in words
        or workload_status(state, family) in words
        or ("initializing" in words and workload_status(state, Family.OLD) == "initializing")
    )


def artifact_status(status: str, family: Family) -> str:
    """An artifact's status in a family's words."""
    return "registered" if status == "locked" and family is Family.OLD else status


def stored_artifact_status(status: str) -> str:
    """The word that records use: `registered` is `locked`."""
    return "locked" if status == "registered" else status
