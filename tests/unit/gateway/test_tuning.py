"""What a worker asks of its surroundings has the effect that it is asked for."""

import subprocess
import sys


def said_by(code: str) -> str:
    """What `code` prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


FAULTS = """
import resource
from gateway import tuning
{tuned}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytes(256 * 1024)
before = faults()
for _ in range(200):
    piece = bytes(200 * 1024)
    other = bytes(256 * 1024)
    del piece, other
print(faults() - before)
"""


def test_large_pieces_do_not_cost_page_faults_again_and_again():
    assert int(said_by(FAULTS.format(tuned="tuning.keep_memory()"))) < 1000
    assert int(said_by(FAULTS.format(tuned=""))) > 5000, "or glibc has learnt it: delete ours"


def test_a_worker_may_open_as_many_files_as_the_system_allows():
    code = (
        "import resource; from gateway import tuning\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "tuning.allow_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard)"
    )
    assert said_by(code) == "True"


def test_what_is_there_at_the_start_is_not_looked_at_again():
    code = (
        "import gc; from gateway import tuning\n"
        "tuning.collect_rarely(); print(gc.get_freeze_count() > 0, gc.get_threshold()[0])"
    )
    assert said_by(code) == "True 50000"
