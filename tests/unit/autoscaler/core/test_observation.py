"""How a proton's runtime and the platform's settings become one `Scaling`."""

import dataclasses

import msgspec
import pytest

from autoscaler.core.observation import (
    min_run_time_s,
    panic_window_s,
    scaling_of,
    shadow_scaling_of,
)
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.behavior import Behavior, Schedule
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.states import Desired
from controlplane.model.workloads import Autoscaling, GroupRuntime, Proton, Runtime, ScalingPolicy

SETTINGS = AutoscalerSettings()
POLICY = ScalingPolicy(metric="httpRequestsConcurrency", target=5)
HOURLY = ScalingPolicy(metric="httpRequestsPerHour", target=100)


def proton(*groups: GroupRuntime, desired: Desired = Desired.RUNNING) -> Proton:
    return Proton(
        id="p",
        workload_id="w",
        artifact_id="a",
        desired=desired,
        spec=ArtifactSpec(),
        runtime=Runtime(container_groups=groups),
        creator_id="u",
        created_at=0,
        updated_at=0,
    )


@pytest.mark.parametrize(
    ("groups", "fixed"),
    [
        pytest.param((), 1, id="nothing-said"),
        pytest.param((GroupRuntime(replica_count=3),), 3, id="a-count"),
        pytest.param(
            (GroupRuntime(replica_count=2, autoscaling=Autoscaling(enabled=False)),),
            2,
            id="switched-off",
        ),
        pytest.param(
            (GroupRuntime(autoscaling=Autoscaling(enabled=False, min_replicas=4)),),
            1,
            id="switched-off-its-bounds-do-not-count",
        ),
        pytest.param(
            (GroupRuntime(autoscaling=Autoscaling(min_replicas=2)),), 2, id="without-policies"
        ),
        pytest.param(
            (GroupRuntime(autoscaling=Autoscaling(min_replicas=0)),), 1, id="nor-a-minimum"
        ),
    ],
)
def test_what_is_not_autoscaled_has_a_fixed_count(groups, fixed):
    scaling = scaling_of(proton(*groups), SETTINGS)
    assert scaling.fixed == fixed
    assert (scaling.min_replicas, scaling.max_replicas) == (fixed, fixed)


def test_autoscaling_is_taken_over():
    auto = Autoscaling(policies=(POLICY, HOURLY), min_replicas=1, max_replicas=7, cooldown_s=30)
    scaling = scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS)
    assert scaling.fixed is None
    assert (scaling.min_replicas, scaling.max_replicas, scaling.cooldown_s) == (1, 7, 30)
    assert scaling.load_targets() == (5,)
    assert not scaling.stopped


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(None, 300, id="the-platforms"),
        pytest.param(90, 90, id="its-own"),
        pytest.param(0, 6, id="never-shorter-than-the-panic-window"),
    ],
)
def test_cooldown(said, expected):
    auto = Autoscaling(policies=(POLICY,), cooldown_s=said)
    scaling = scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS)
    assert scaling.cooldown_s == expected


def test_what_an_owner_says_takes_the_place_of_the_platforms_settings():
    behavior = Behavior(scale_down_delay_s=30.0, panic_window_ratio=0.5, activation_scale=2)
    auto = Autoscaling(policies=(POLICY,), behavior=behavior, cooldown_s=0)
    scaling = scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS)
    assert scaling.settings == dataclasses.replace(SETTINGS, **behavior.said())
    assert scaling.cooldown_s == 30, "never shorter than its own panic window"


def test_without_a_word_the_platforms_settings_are_shared():
    auto = Autoscaling(policies=(POLICY,))
    assert scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS).settings is SETTINGS


def test_a_tolerance_is_for_all_metrics():
    auto = Autoscaling(policies=(POLICY,), behavior=Behavior(tolerance_ratio=0.3))
    settings = scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS).settings
    assert (settings.tolerance_ratio, settings.cpu_tolerance_ratio) == (0.3, 0.3)


def test_schedules_are_taken_over():
    daily = Schedule(cron="0 8 * * *", duration_s=60, min_replicas=2)
    auto = Autoscaling(policies=(POLICY,), schedules=(daily,))
    assert scaling_of(proton(GroupRuntime(autoscaling=auto)), SETTINGS).schedules == (daily,)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param(GroupRuntime(), 7, id="not-autoscaled"),
        pytest.param(GroupRuntime(autoscaling=Autoscaling()), 7, id="nothing-said"),
        pytest.param(
            GroupRuntime(autoscaling=Autoscaling(behavior=Behavior(tolerance_ratio=0.1))),
            7,
            id="something-else-said",
        ),
        pytest.param(
            GroupRuntime(autoscaling=Autoscaling(behavior=Behavior(min_run_time_s=0.0))),
            0,
            id="its-own",
        ),
    ],
)
def test_least_run_time(group, expected):
    assert min_run_time_s(proton(group), AutoscalerSettings(min_run_time_s=7.0)) == expected


def test_the_panic_window_is_never_longer_than_the_stable_one():
    assert panic_window_s(AutoscalerSettings(stable_window_s=50)) == 5
    assert panic_window_s(AutoscalerSettings(stable_window_s=50, panic_window_ratio=3)) == 50


def test_a_stopped_proton_is_stopped_whatever_its_runtime_says():
    assert scaling_of(proton(desired=Desired.STOPPED), SETTINGS).stopped
    auto = Autoscaling(policies=(POLICY,))
    stopped = proton(GroupRuntime(autoscaling=auto), desired=Desired.STOPPED)
    assert scaling_of(stopped, SETTINGS).stopped


@pytest.mark.parametrize(
    ("until", "at", "expected"),
    [
        pytest.param(None, 1e12, 3, id="for-as-long-as-it-is-asked"),
        pytest.param(100.0, 99.9, 3, id="until-then"),
        pytest.param(100.0, 100.0, 0, id="and-not-longer"),
    ],
)
def test_a_part_in_a_replacement_asks_for_replicas(until, at, expected):
    auto = GroupRuntime(autoscaling=Autoscaling(policies=(POLICY,), max_replicas=5))
    asked = msgspec.structs.replace(proton(auto), least_replicas=3, least_until=until)
    assert scaling_of(asked, SETTINGS).least_at(at) == expected


def test_a_fixed_count_is_enough_for_a_replacement():
    asked = msgspec.structs.replace(proton(GroupRuntime(replica_count=2)), least_replicas=3)
    assert scaling_of(asked, SETTINGS).least_at(0) == 0


# -- shadows ------------------------------------------------------------------------------------


def shadowed(**fields):
    auto = Autoscaling(policies=(POLICY,), max_replicas=4, **fields)
    return proton(GroupRuntime(autoscaling=auto))


def test_a_shadow_scales_by_its_own_policies_and_bounds():
    shadow = Autoscaling(policies=(POLICY, HOURLY), min_replicas=1, max_replicas=9)
    asked = shadow_scaling_of(shadowed(shadow=shadow), SETTINGS)
    assert asked is not None
    assert asked.policies == (POLICY, HOURLY)
    assert (asked.min_replicas, asked.max_replicas) == (1, 9)
    acting = scaling_of(shadowed(shadow=shadow), SETTINGS)
    assert acting.policies == (POLICY,)
    assert acting.watched == ("httpRequestsPerHour",), "its metrics are observed, too"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(proton(), id="not-autoscaled"),
        pytest.param(shadowed(), id="no-shadow"),
        pytest.param(shadowed(enabled=False, shadow=Autoscaling()), id="switched-off"),
    ],
)
def test_no_shadow(asked):
    assert shadow_scaling_of(asked, SETTINGS) is None


def test_the_mode_of_the_forecast_is_passed_on():
    assert scaling_of(shadowed(), SETTINGS).forecast == ""
    assert scaling_of(shadowed(forecast="act"), SETTINGS).forecast == "act"
