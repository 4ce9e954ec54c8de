"""CPU use from samples, and one sweep over real sessions."""

import os
import subprocess
import sys

import pytest

from autoscaler.reconcilers.processes_usage import CPU_WINDOW_S, CpuHistory, Usage, measure


def sample(at_s: float, cpu_s: float) -> Usage:
    return Usage(at_s=at_s, cpu_s=cpu_s, memory_bytes=0)


def test_one_sample_says_nothing():
    history = CpuHistory(None)
    assert history.percent() is None
    history.add(sample(0, 5))
    assert history.percent() is None
    history.add(sample(0, 6))
    assert history.percent() is None, "no time has passed"


@pytest.mark.parametrize(("cores", "percent"), [(None, 50), (0.5, 100), (2, 25)])
def test_use_is_relative_to_the_request(cores: float | None, percent: float):
    history = CpuHistory(cores)
    history.add(sample(0, 5))
    history.add(sample(2, 6))
    assert history.percent() == percent


def test_old_samples_do_not_count():
    history = CpuHistory(None)
    history.add(sample(0, 0))
    history.add(sample(10, 10))
    history.add(sample(10 + CPU_WINDOW_S, 10))
    assert history.percent() == 0


def test_a_worker_that_vanished_does_not_make_it_negative():
    history = CpuHistory(None)
    history.add(sample(0, 10))
    history.add(sample(1, 2))
    assert history.percent() == 0


def test_a_new_process_is_measured_anew():
    history = CpuHistory(None)
    history.add(sample(0, 10))
    history.clear()
    history.add(sample(1, 0))
    assert history.percent() is None


def test_a_session_is_measured_with_its_children_and_shared_pages_count_once():
    program = (
        "import os, sys, time\n"
        "kept = b'x' * (64 << 20)\n"
        "child = os.fork()\n"
        "if child: sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", program], start_new_session=True, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        summed = measure({process.pid: None})[process.pid]
        assert summed.memory_bytes > 128 << 20
        assert summed.cpu_s > 0
        proportional = measure({process.pid: 100 << 20})[process.pid]
        assert 64 << 20 < proportional.memory_bytes < 128 << 20
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_replica_that_has_ended_is_left_out():
    beyond_any_pid = 1 << 30
    assert measure({beyond_any_pid: None}) == {}
