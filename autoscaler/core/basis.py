"""What a decision was made from, kept with it: the means to make the same decision again, anywhere.

`decide` is a function of its arguments, so a record that carries them can be checked years later
on another machine: `tidegate replay`. The basis is JSON, small enough to keep with every entry of
the journal: what has its default is left out, and of the platform's settings only those that
`decide` reads.

Floats survive JSON bit for bit: they are written in the shortest form that reads back as the same
number (David Gay's and Ryu's guarantee, which `repr` and msgspec give alike).
"""

from typing import Any, Final

import msgspec

from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.plan import decide
from controlplane.model.decisions import Decision
from controlplane.model.sections import AutoscalerSettings

DECIDING: Final = (
    *("activation_scale", "cpu_tolerance_ratio", "max_scale_down_rate", "max_scale_down_replicas"),
    *("max_scale_up_rate", "max_scale_up_replicas", "min_run_time_s", "panic_threshold"),
    *("panic_window_ratio", "quality_age_s", "quality_coverage_ratio"),
    *("quality_disagreement_ratio", "scale_down_delay_s", "scale_limit_period_s"),
    *("scale_up_delay_s", "stabilization_window_s", "stable_window_s", "tolerance_ratio"),
)
"""The platform's settings that decisions read; a test looks for others in the code."""

_PLAIN: Final = AutoscalerSettings()


class Basis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The arguments of one call of `decide`."""

    observation: Observation
    scaling: Scaling
    state: DecisionState | None = None
    now_s: float

    def decide(self, *, told: bool = False) -> tuple[Decision, DecisionState]:
        """Decide, without sentences unless told: `plan.decide`."""
        return decide(self.observation, self.scaling, self.state, now_s=self.now_s, told=told)

    def told(self, decision: Decision) -> Decision:
        """The record of a decision that was made from this without being told.

        Args:
            decision: What was decided; steps that others added after `decide` stay, as the last.
        """
        again, _ = self.decide(told=True)
        return msgspec.structs.replace(
            decision,
            steps=again.steps + decision.steps,
            inputs=again.inputs,
            next=again.next,
            basis=msgspec.Raw(self.encode()),
        )

    def encode(self) -> bytes:
        """As JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        settings = self.scaling.settings
        plain["scaling"]["settings"] = {
            name: value
            for name in DECIDING
            if (value := getattr(settings, name)) != getattr(_PLAIN, name)
        }
        return msgspec.json.encode(plain)


def decode(raw: bytes) -> Basis:
    """Read what `Basis.encode` wrote.

    Raises:
        msgspec.ValidationError: It is something else.
    """
    return msgspec.json.decode(raw, type=Basis)
