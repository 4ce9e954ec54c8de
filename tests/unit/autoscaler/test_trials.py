"""What is only tried out fails alone: counted each time, said once."""

import pytest

from autoscaler.trials import FAULTS, Trials
from controlplane.model.shadows import ShadowKind
from controlplane.store.errors import StoreUnavailableError


class Bench:
    """Trials, and what they count."""

    def __init__(self) -> None:
        self.counted: list[ShadowKind] = []
        self.trials = Trials(self.counted.append)

    def fail(self, exc: BaseException, kind: ShadowKind = ShadowKind.FORECAST) -> None:
        with self.trials.alone(kind, "p"):
            raise exc


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_a_trial_ends_there(kind: type[Exception]):
    bench = Bench()
    bench.fail(kind("odd"))
    assert bench.counted == [ShadowKind.FORECAST]


@pytest.mark.parametrize("exc", [MemoryError(), OSError(), StoreUnavailableError("away")])
def test_a_fault_of_the_process_goes_on(exc: Exception):
    bench = Bench()
    with pytest.raises(type(exc)):
        bench.fail(exc)
    assert bench.counted == []


def test_every_cause_is_said_once_and_every_fault_counted(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    for _ in range(3):
        bench.fail(ZeroDivisionError("a"))
        bench.fail(KeyError("b"))
        bench.fail(KeyError("b"), ShadowKind.POLICY)
        with bench.trials.alone(ShadowKind.POLICY, "p"):
            int("elsewhere")
    assert len(bench.counted) == 12
    assert [record.trial for record in caplog.records] == [
        "forecast",
        "forecast",
        "policy",
        "policy",
    ]
    causes = [record.cause for record in caplog.records]
    assert len(set(causes)) == 3
    assert causes[0].startswith("ZeroDivisionError at ")
    assert all(record.exc_info for record in caplog.records)


def test_what_goes_well_is_not_counted():
    bench = Bench()
    with bench.trials.alone(ShadowKind.POLICY, "p"):
        pass
    assert bench.counted == []
