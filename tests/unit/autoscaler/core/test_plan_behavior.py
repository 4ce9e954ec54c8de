"""Decisions with what an owner may add: schedules, least run times, tolerance, activation scale."""

import pytest

from autoscaler.core.policy import CPU, PER_HOUR
from autoscaler.core.schedules import Scheduled
from controlplane.model.decisions import Reason
from controlplane.model.sections import AutoscalerSettings
from tests.unit.autoscaler.core.reports_for_tests import steady
from tests.unit.autoscaler.core.test_plan import QUIET, once, scaling, seen

OFFICE = Scheduled(
    low=3,
    high=4,
    by="'office' until 18:00",
    following="from 18:00 between 0 and 20",
)


@pytest.mark.parametrize(
    ("observation", "asked", "current", "replicas", "reason"),
    [
        pytest.param(
            seen(load=QUIET, scheduled=OFFICE), scaling(), 0, 3, Reason.SCHEDULED, id="from-zero"
        ),
        pytest.param(
            seen(load=QUIET, ready=4, scheduled=OFFICE),
            scaling(),
            4,
            3,
            Reason.SCHEDULED,
            id="down-to-its-minimum",
        ),
        pytest.param(
            seen(load=steady(90), ready=4, scheduled=OFFICE),
            scaling(),
            4,
            4,
            Reason.AT_MAX,
            id="up-to-its-maximum",
        ),
        pytest.param(
            seen(load=steady(35), ready=4, scheduled=OFFICE),
            scaling(),
            4,
            4,
            Reason.ON_TARGET,
            id="between-its-bounds",
        ),
        pytest.param(
            seen(load=QUIET, scheduled=Scheduled(low=0, high=20)),
            scaling(min_replicas=2),
            0,
            0,
            Reason.IDLE,
            id="a-lower-minimum",
        ),
        pytest.param(
            seen(load=QUIET, ready=1, scheduled=Scheduled(low=1, high=20, following="soon")),
            scaling(),
            1,
            1,
            Reason.AT_MIN,
            id="outside-of-all-schedules",
        ),
        pytest.param(
            seen(load=QUIET, ready=3, scheduled=OFFICE),
            scaling(least=4),
            3,
            4,
            Reason.AT_MIN,
            id="a-replacement-needs-more-than-the-schedule",
        ),
        pytest.param(
            seen(load=QUIET, ready=4, young=2),
            scaling(),
            4,
            2,
            Reason.MIN_RUN_TIME,
            id="the-young-stay-when-all-is-idle",
        ),
        pytest.param(
            seen(load=steady(5), ready=4, young=3),
            scaling(),
            4,
            3,
            Reason.MIN_RUN_TIME,
            id="the-young-stay-when-there-is-less",
        ),
        pytest.param(
            seen(load=steady(35), ready=4, young=3),
            scaling(),
            4,
            4,
            Reason.ON_TARGET,
            id="the-young-are-needed",
        ),
        pytest.param(
            seen(load=steady(5), ready=4, young=4),
            scaling(max_replicas=2),
            4,
            2,
            Reason.AT_MAX,
            id="but-not-above-the-maximum",
        ),
        pytest.param(
            seen(load=steady(5), ready=4, young=6),
            scaling(),
            4,
            4,
            Reason.MIN_RUN_TIME,
            id="nor-above-what-was-asked-for",
        ),
        pytest.param(
            seen(load=steady(10), ready=4, running=30.0),
            scaling(),
            4,
            4,
            Reason.LOW_QUALITY,
            id="replicas-count-more-than-gateways",
        ),
        pytest.param(
            seen(load=steady(10), ready=4, running=30.0, cpu_percent=(9.0,) * 4),
            scaling((CPU, 60)),
            4,
            2,
            Reason.SCALE_DOWN_LIMITED,
            id="which-is-no-matter-of-cpu",
        ),
        pytest.param(
            seen(load=QUIET, ready=4, running=9.0),
            scaling(),
            4,
            4,
            Reason.LOW_QUALITY,
            id="not-to-zero-while-replicas-are-busy",
        ),
        pytest.param(
            seen(load=steady(1, queued=1), woken=True),
            scaling(settings=AutoscalerSettings(activation_scale=3)),
            0,
            3,
            Reason.WAKE_UP,
            id="waking-for-several",
        ),
        pytest.param(
            seen(load=steady(5), ready=1),
            scaling(settings=AutoscalerSettings(activation_scale=3)),
            1,
            3,
            Reason.ON_TARGET,
            id="never-fewer-than-that-while-any-are-wanted",
        ),
        pytest.param(
            seen(load=steady(0, coverage_ratio=0.4), ready=1),
            scaling(settings=AutoscalerSettings(activation_scale=3)),
            1,
            1,
            Reason.LOW_QUALITY,
            id="what-is-only-held-is-not-raised-to-it",
        ),
        pytest.param(
            seen(load=steady(32), ready=3),
            scaling(settings=AutoscalerSettings(tolerance_ratio=0.1)),
            3,
            3,
            Reason.ON_TARGET,
            id="within-the-tolerance",
        ),
        pytest.param(
            seen(ready=3, per_hour=320.0),
            scaling((PER_HOUR, 100), settings=AutoscalerSettings(tolerance_ratio=0.1)),
            3,
            3,
            Reason.ON_TARGET,
            id="within-the-tolerance-of-an-hour",
        ),
    ],
)
def test_decision_of_what_an_owner_may_add(observation, asked, current, replicas, reason):
    decision = once(observation, asked, current=current)
    assert (decision.replicas, decision.reason) == (replicas, reason)


def test_the_record_names_the_schedule_and_the_next_change():
    decision = once(seen(load=steady(35), ready=4, scheduled=OFFICE), current=4)
    assert decision.steps[-1].note == "between 3 and 4, by 'office' until 18:00"
    assert decision.next.endswith("; from 18:00 between 0 and 20")


def test_the_record_says_how_long_replicas_run_at_least():
    asked = scaling(settings=AutoscalerSettings(min_run_time_s=90))
    decision = once(seen(load=QUIET, ready=4, young=2), asked, current=4)
    assert ("run_time", "2 have not run for 90 s") in [(s.name, s.note) for s in decision.steps]


def test_the_record_tells_what_the_numbers_are_worth():
    decision = once(seen(load=steady(10, age_s=0.254), ready=4, running=12.0), current=4)
    assert decision.inputs["report_age_s"] == 0.25
    assert decision.inputs["running"] == 12
