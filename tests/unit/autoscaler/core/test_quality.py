"""Thin, old or contradictory numbers take nothing away."""

import pytest

from autoscaler.core.notes import said
from autoscaler.core.quality import disagreement, doubt
from controlplane.model.sections import AutoscalerSettings
from tests.unit.autoscaler.core.reports_for_tests import steady


@pytest.mark.parametrize(
    ("gateways", "replicas", "expected"),
    [
        pytest.param(10, None, None, id="replicas-say-nothing"),
        pytest.param(10, 10.0, 0.0, id="the-same"),
        pytest.param(10, 8.0, 0.0, id="one-each-is-nothing"),
        pytest.param(10, 7.0, 0.3, id="more-is"),
        pytest.param(0, 5.0, 1.0, id="somebody-else-sends"),
        pytest.param(5, 0.0, 1.0, id="replicas-know-of-none"),
        pytest.param(0, 0.0, 0.0, id="nothing-at-all"),
    ],
)
def test_disagreement(gateways, replicas, expected):
    assert disagreement(gateways, replicas, ready=2) == expected


def test_without_a_ready_replica_one_request_is_still_nothing():
    assert disagreement(0, 1.0, ready=0) == 0.0


@pytest.mark.parametrize(
    ("view", "running", "settings", "expected"),
    [
        pytest.param(steady(10), None, {}, None, id="good"),
        pytest.param(steady(10), 9.0, {}, None, id="both-agree"),
        pytest.param(
            steady(10, coverage_ratio=0.9), None, {}, "the window is not covered yet", id="thin"
        ),
        pytest.param(
            steady(10, coverage_ratio=0.9),
            None,
            {"quality_coverage_ratio": 0.8},
            None,
            id="thin-is-enough",
        ),
        pytest.param(
            steady(10, coverage_ratio=0.5, silent=2, workers=2),
            None,
            {},
            "2 of 4 gateway workers are silent",
            id="silent",
        ),
        pytest.param(steady(10, age_s=3.0), None, {}, None, id="fresh-enough"),
        pytest.param(
            steady(10, age_s=3.14),
            None,
            {},
            "a gateway worker's last report is 3.1 s old",
            id="old",
        ),
        pytest.param(
            steady(10, age_s=3.14), None, {"quality_age_s": 4.0}, None, id="old-is-enough"
        ),
        pytest.param(
            steady(4), 12.0, {}, "gateways count 4 in flight, replicas 12", id="contradictory"
        ),
        pytest.param(
            steady(4), 12.0, {"quality_disagreement_ratio": 1.0}, None, id="may-contradict"
        ),
    ],
)
def test_doubt(view, running, settings, expected):
    found = doubt(view, running=running, ready=2, settings=AutoscalerSettings(**settings))
    assert (found if found is None else said(found)) == expected
