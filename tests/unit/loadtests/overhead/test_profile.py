import pytest

from loadtests.overhead.children import BenchError
from loadtests.overhead.profile import shares

STACKS = [
    "thread (7): MainThread;run (a.py:1);data_received (b.py:10) 6",
    "thread (7): MainThread;run (a.py:1);data_received (b.py:11) 2",
    "thread (7): MainThread;run (a.py:1) 2",
    "thread (7): MainThread 1",
    "thread (8): access-log;get (queue.py:1);wait (libc.so.6) 10",
]


def test_samples_are_shared_out_by_function():
    table = shares(STACKS, cpu_us=30.0, lines=False, top=10).splitlines()
    assert [row.split() for row in table[1:]] == [
        ["80.0%", "24.00", "80.0%", "data_received", "(b.py)"],
        ["20.0%", "6.00", "100.0%", "run", "(a.py)"],
    ]


def test_samples_are_shared_out_by_line_on_request():
    table = shares(STACKS, cpu_us=30.0, lines=True, top=1).splitlines()
    assert table[1].split() == ["60.0%", "18.00", "60.0%", "data_received", "(b.py:10)"]


def test_a_profile_without_samples_is_refused():
    with pytest.raises(BenchError, match="no samples"):
        shares([], cpu_us=30.0, lines=False, top=1)
