"""A shadow that cannot decide takes neither what acts nor the other shadow with it."""

import time

import msgspec

from autoscaler.collectors import Collector
from autoscaler.controls import Control
from autoscaler.core.observation import Observation, Scaling, scaling_of
from autoscaler.core.plan import decide
from autoscaler.forecasts import Forecasts
from autoscaler.shadows import Shadows
from autoscaler.trials import Trials
from controlplane.model.behavior import Behavior
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.shadows import ShadowKind
from controlplane.model.workloads import Autoscaling, Proton, Runtime, ScalingPolicy
from tests.fakes.replicas import proton as plain
from tests.unit.autoscaler.core.reports_for_tests import steady

SETTINGS = AutoscalerSettings()
POLICIES = (ScalingPolicy(metric="httpRequestsConcurrency", target=5),)


def shadowed(behavior: Behavior | None) -> Proton:
    """With a shadow of its own policies, and a forecast."""
    made = plain()
    shadow = Autoscaling(policies=POLICIES, max_replicas=9, behavior=behavior)
    auto = Autoscaling(policies=POLICIES, max_replicas=9, shadow=shadow, forecast="shadow")
    group = msgspec.structs.replace(made.runtime.group(), autoscaling=auto)
    return msgspec.structs.replace(made, runtime=Runtime(container_groups=(group,)))


def journals(made: Proton, counted: list[ShadowKind]) -> list[str]:
    """What two shadows of a busy proton write, by journal."""
    nothing: object = None
    collector = Collector(
        nothing,  # type: ignore[arg-type]  # nothing is collected
        nothing,  # type: ignore[arg-type]
        SETTINGS,
        clock=time.monotonic,
        wall=time.time,
    )
    forecasts = Forecasts(nothing, clock=time.monotonic, wall=time.time)  # type: ignore[arg-type]
    shadows = Shadows(
        collector, forecasts, SETTINGS, new_id=lambda: "id", trials=Trials(counted.append)
    )
    control = Control(made, scaling_of(made, SETTINGS))
    assert shadows.shadows(made, control.scaling)
    return [name for name, _, _ in stepped(shadows, made, control.scaling)]


def stepped(shadows: Shadows, made: Proton, scaling: Scaling) -> list[tuple[str, bytes, int]]:
    seen = Observation(at=1.7e9, ready=1, load=steady(30))
    seen = shadows.seen(scaling, seen, ())
    decision, _ = decide(seen, scaling, None, now_s=1.0)
    return shadows.step(made, scaling, seen, decision, cold_starts_s=(), now_s=1.0)


def test_two_shadows_write_each_into_its_journal():
    counted: list[ShadowKind] = []
    names = journals(shadowed(None), counted)
    assert [name.partition(":")[0] for name in names] == ["shadow-policy", "shadow-forecast"]
    assert counted == []


def test_a_shadow_with_settings_that_nobody_can_count_with_fails_alone():
    counted: list[ShadowKind] = []
    odd = Behavior(activation_scale="many")  # type: ignore[arg-type]
    names = journals(shadowed(odd), counted)
    assert [name.partition(":")[0] for name in names] == ["shadow-forecast"]
    assert counted == [ShadowKind.POLICY]
