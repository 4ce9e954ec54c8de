from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.proton_states import ProtonStates
from controlplane.model.states import Desired, ProtonState, ReplicaPhase, proton_state
from controlplane.model.workloads import Proton, Replica, Scale
from controlplane.store.watch import Change
from tests.unit.controlplane.lifecycle import worlds

PROTONS = ("a" * 24, "b" * 24)


class Copy:
    """Records that change as the store's copy does: at once, then subscribers hear of it."""

    def __init__(self):
        self.records = {Proton: {}, Scale: {}, Replica: {}}
        self.heard = lambda changes: None

    def get(self, cls, record_id):
        return self.records[cls].get(record_id)

    def all(self, cls):
        return self.records[cls]

    def subscribe(self, callback):
        self.heard = callback

    def __getitem__(self, proton_id):
        return {r.id: r for r in self.records[Replica].values() if r.proton_id == proton_id}

    def put(self, record):
        self.records[type(record)][record.id] = record
        self.heard([Change(type(record), record.id, record)])

    def delete(self, cls, record_id):
        if self.records[cls].pop(record_id, None) is not None:
            self.heard([Change(cls, record_id, None)])


def scale(proton_id, wanted, errored):
    return Scale(
        id=proton_id,
        workload_id="w",
        wanted_replicas=wanted,
        ready_replicas=0,
        state=ProtonState.RUNNING,
        errored=errored,
        reason="fixed",
        updated_at=1.0,
    )


def replica(number, proton_id, phase):
    return Replica(
        id=f"{number:024x}", workload_id="w", proton_id=proton_id, phase=phase, created_at=1.0
    )


EDITS = st.lists(
    st.one_of(
        st.builds(
            lambda p, d: ("put", worlds.proton(id=p, desired=d)),
            st.sampled_from(PROTONS),
            st.sampled_from(Desired),
        ),
        st.builds(
            lambda p, w, e: ("put", scale(p, w, e)),
            st.sampled_from(PROTONS),
            st.integers(0, 2),
            st.booleans(),
        ),
        st.builds(
            lambda n, p, f: ("put", replica(n, p, f)),
            st.integers(0, 3),
            st.sampled_from(PROTONS),
            st.sampled_from(ReplicaPhase),
        ),
        st.builds(lambda n: ("drop", Replica, f"{n:024x}"), st.integers(0, 3)),
        st.builds(lambda p: ("drop", Scale, p), st.sampled_from(PROTONS)),
    ),
    max_size=20,
)


@given(before=EDITS, after=EDITS)
def test_a_state_is_always_that_of_the_records_as_they_are(before, after):
    copy = Copy()
    for proton_id in PROTONS:
        copy.put(worlds.proton(id=proton_id))

    def apply(edit):
        copy.put(edit[1]) if edit[0] == "put" else copy.delete(*edit[1:])

    for edit in before:
        apply(edit)
    states = ProtonStates(copy, copy)
    for edit in [None, *after]:
        if edit is not None:
            apply(edit)
        for proton in copy.all(Proton).values():
            found = copy.get(Scale, proton.id)
            assert states.of(proton) is proton_state(
                desired=proton.desired,
                wanted_replicas=None if found is None else found.wanted_replicas,
                phases=[r.phase for r in copy[proton.id].values()],
                errored=found is not None and found.errored,
                role=proton.role,
            )
