import contextlib
import dataclasses
import os
from pathlib import Path

import pytest

from loadtests.overhead import applications
from loadtests.overhead.cases import CASES
from loadtests.overhead.children import BenchError, choose_cores
from loadtests.overhead.load import Client, Wrk
from loadtests.overhead.peers import PEERS, start_peer
from loadtests.overhead.rounds import measure
from loadtests.overhead.target import Job, Route, wait_ready
from tests.fakes.tools import require_tool

pytestmark = pytest.mark.xdist_group("system")

NAMES = [peer.name for peer in PEERS if not peer.main_case_only]
SMALL = {"events": 4, "websocket": 4, "idle": 50}
"""Connections of our own clients: enough to see that they work."""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Both applications, running."""
    core = choose_cores().load
    directory = tmp_path_factory.mktemp("applications")
    with contextlib.ExitStack() as stack:
        routes = {
            kind: Route(
                prefix=f"/api/v2/endpoints/workloads/65f00000000000000000000{number}",
                port=stack.enter_context(
                    applications.running(kind, core=core, directory=directory)
                ),
            )
            for number, kind in enumerate(("static", "streams"), start=1)
        }
        yield Job(token="a-token-of-32-characters-or-more", **routes)


@contextlib.contextmanager
def _started(name: str, job: Job, directory: Path):
    peer = next(peer for peer in PEERS if peer.name == name)
    path = peer.binary()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {peer.name} ({peer.install})")
        pytest.skip(f"needs {peer.name} ({peer.install})")
    target = start_peer(peer, path, job, core=choose_cores().proxy, directory=directory)
    try:
        yield target
    finally:
        target.process.stop()


@pytest.mark.parametrize("name", NAMES)
def test_every_peer_does_the_job_and_again_after_its_restart(name, job, tmp_path):
    with _started(name, job, tmp_path) as target:
        assert target.version[0].isdigit()
        before = target.process.pid
        target.process.restart()
        wait_ready(target, job)
        assert target.process.pid != before
        assert target.process.cpu().total_s > 0
        assert target.process.rss_bytes() > 2**20


@pytest.mark.parametrize("name", NAMES)
def test_every_peer_lets_streams_and_websockets_through(name, job, tmp_path):
    """What wrk cannot ask for: each event and each echo has to come."""
    with _started(name, job, tmp_path) as target:
        for case in CASES:
            if isinstance(case.load, Client) and case.name != "idle":
                assert _measured(target, case, job).count > 0, case.name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_can_be_measured(case, job, tmp_path):
    if isinstance(case.load, Wrk):
        require_tool("wrk", "apt-get install wrk")
    with _started("nginx", job, tmp_path) as target:
        found = _measured(target, case, job)
        assert found.count > 0
        assert found.cpu_us > 0
        assert found.user_us + found.system_us == pytest.approx(found.cpu_us)


@pytest.mark.parametrize("kind", ["events", "websocket", "idle"])
def test_a_refusal_of_any_kind_makes_the_run_worthless(kind, job, tmp_path):
    stranger = Job(token="wrong", static=job.static, streams=job.streams)
    case = next(case for case in CASES if case.name == kind)
    with _started("nginx", job, tmp_path) as target:
        load = Client(kind=kind, connections=2)
        with pytest.raises(BenchError, match="401"):
            _run(target, case, stranger, load)


def _measured(target, case, job):
    load = case.load
    if isinstance(load, Client):
        load = Client(kind=load.kind, connections=SMALL[load.kind])
    return _run(target, case, job, load)


def _run(target, case, job, load):
    changed = dataclasses.replace(case, load=load, fresh=False)
    return measure(target, changed, job, seconds=1, cores=choose_cores())
