"""Every case against our gateway: it is to fail none, and to offer every feature."""

import asyncio

import pytest

from tests.conformance.cases.catalogue import CASES
from tests.conformance.runner import OURS, Result, run
from tests.conformance.script import PASS, Case

PATIENT_S = 10.0
"""The machine may be busy; only a case that fails waits this long."""


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """One gateway for all cases."""
    found = asyncio.run(run(OURS, CASES, deadline_s=PATIENT_S))
    return {result.case_id: result for result in found}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_the_gateway_follows_the_rule(case: Case, results: dict[str, Result]) -> None:
    result = results[case.id]
    assert result.verdict == PASS, f"{case.title} (RFC {case.section})\n{result.transcript}"
