"""The conductor's parts, all of them."""

from collections.abc import Sequence

from controlplane.conductor.expiry import Expiry, Purge
from controlplane.conductor.loop import Part
from controlplane.conductor.replacements import Replacements
from controlplane.conductor.statistics import Recorder
from controlplane.conductor.term import Term
from controlplane.conductor.tokens import WorkloadTokens
from controlplane.model.people import Token
from controlplane.model.workloads import Proton, Replica, Scale, Workload


def parts(term: Term) -> Sequence[Part]:
    """What a term does."""
    return [
        Part(
            name="replacements",
            step=Replacements(term),
            kinds=frozenset({Workload, Proton, Replica, Scale}),
        ),
        Part(
            name="workload-tokens",
            step=WorkloadTokens(term),
            kinds=frozenset({Workload, Proton, Token}),
        ),
        Part(name="expiry", step=Expiry(term), every_s=1),
        Part(name="statistics", step=Recorder(term), every_s=1),
        Part(name="purge", step=Purge(term), every_s=30),
    ]
