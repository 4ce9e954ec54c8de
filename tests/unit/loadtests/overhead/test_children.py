import os

import pytest

from loadtests.overhead.children import CpuTime, cpu_of


def _time(total_s, user_s, system_s):
    return CpuTime(total_s=total_s, user_sampled_s=user_s, system_sampled_s=system_s)


@pytest.mark.parametrize(
    ("later", "user_s", "system_s"),
    [
        pytest.param(_time(3.0, 0.75, 0.25), 1.5, 0.5, id="split-as-sampled-meanwhile"),
        pytest.param(_time(1.5, 0.0, 0.0), 0.25, 0.25, id="no-sample-says-half"),
    ],
)
def test_the_exact_sum_is_split_as_it_was_sampled(later, user_s, system_s):
    spent = later.since(_time(1.0, 0.0, 0.0))
    assert (spent.user_s, spent.system_s) == (user_s, system_s)


def test_what_was_sampled_before_does_not_count():
    spent = _time(3.0, 10.75, 20.25).since(_time(1.0, 10.0, 20.0))
    assert (spent.user_s, spent.system_s) == (1.5, 0.5)


def test_the_kernel_tells_a_process_its_time():
    before = cpu_of(os.getpid())
    sum(range(200_000))
    assert cpu_of(os.getpid()).since(before).total_s > 0
