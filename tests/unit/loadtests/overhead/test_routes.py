import pytest

from controlplane.model.workloads import Replica, Workload
from loadtests.overhead.routes import CALLED, called, records


@pytest.mark.parametrize("size", [10, 57, 10_000])
def test_called_workloads_are_spread_over_the_table_and_begin_with_the_first(size):
    numbers = called(size)
    assert numbers[0] == 1
    assert len(set(numbers)) == CALLED
    assert size - size / CALLED - 1 <= numbers[-1] <= size


def test_only_called_workloads_have_replicas():
    found = records(30, token="t", port=1)
    workloads = [r.id for r in found if isinstance(r, Workload)]
    assert len(workloads) == 30
    owners = [r.workload_id for r in found if isinstance(r, Replica)]
    assert owners == [workloads[number - 1] for number in called(30)]
