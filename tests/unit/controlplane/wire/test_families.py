import pytest

from controlplane.model.states import ProtonState
from controlplane.wire.families import (
    Family,
    artifact_status,
    family_of,
    stored_artifact_status,
    workload_status,
)

OLD_WORDS = {"unknown", "submitted", "initializing", "running", "stopping", "stopped", "errored"}
NEW_WORDS = OLD_WORDS - {"initializing"} | {
    *("provisioning", "launching", "suspended", "interrupted", "terminated"),
}


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/api/v2/console/workloads/x", Family.OLD),
        ("/api/v2/registry/artifacts", Family.OLD),
        ("/api/v2/console/deployments", Family.OLD),
        ("/api/v2/workloads", Family.NEW),
        ("/api/v2/artifacts/console/", Family.NEW),
    ],
)
def test_the_path_tells_the_family(path, family):
    assert family_of(path) is family


@pytest.mark.parametrize("state", list(ProtonState))
def test_every_state_has_a_word_that_the_family_knows(state):
    assert workload_status(state, Family.OLD) in OLD_WORDS
    assert workload_status(state, Family.NEW) in NEW_WORDS


def test_at_zero_replicas_the_old_family_runs_and_the_new_is_suspended():
    assert workload_status(ProtonState.SUSPENDED, Family.OLD) == "running"
    assert workload_status(ProtonState.SUSPENDED, Family.NEW) == "suspended"


@pytest.mark.parametrize(
    ("state", "old", "new"),
    [
        (ProtonState.INITIALIZING, "initializing", "launching"),
        (ProtonState.PROVISIONING, "initializing", "provisioning"),
        (ProtonState.LAUNCHING, "initializing", "launching"),
        (ProtonState.WARMING, "running", "running"),
        (ProtonState.DRAINING, "running", "running"),
        (ProtonState.INTERRUPTED, "submitted", "interrupted"),
        (ProtonState.TERMINATED, "stopped", "terminated"),
    ],
)
def test_states_that_a_family_does_not_know_become_the_nearest_one(state, old, new):
    assert workload_status(state, Family.OLD) == old
    assert workload_status(state, Family.NEW) == new


def test_locked_is_registered_in_the_old_family():
    assert artifact_status("locked", Family.OLD) == "registered"
    assert artifact_status("locked", Family.NEW) == "locked"
    assert artifact_status("draft", Family.OLD) == "draft"
    assert stored_artifact_status("registered") == "locked"
    assert stored_artifact_status("draft") == "draft"
