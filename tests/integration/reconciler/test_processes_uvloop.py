"""The autoscaler runs on uvloop: the whole life of replicas on it, once."""

import asyncio
import os
import signal
from pathlib import Path

import uvloop

from controlplane.model.states import ReplicaPhase
from tests.fakes.replicas import HEALTHZ, container, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import Bench, marked


def test_start_kill_restart_drain_and_stop_on_uvloop(tmp_path: Path):
    async def scenario() -> None:
        bench = Bench(tmp_path / "data")
        reconciler = await bench.start()
        wanted = proton(container(startup=HEALTHZ, liveness=HEALTHZ))
        reconciler.plan(wanted, 2)
        first, second = await bench.ready(2)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: any(r.restart_count for r in reconciler.replicas()))
        await bench.ready(2)
        reconciler.set_load({second.id: 1}, acknowledged_revision=10**9)
        reconciler.plan(wanted, 1)
        await until(lambda: len(reconciler.replicas()) == 1)
        assert [r.id for r in bench.replicas(ReplicaPhase.READY)] == [second.id]
        await until(lambda: bench.writer.phases() == [ReplicaPhase.READY])
        await reconciler.stop(end_replicas=False)
        assert len(marked(bench.data_dir)) == 1
        again = await bench.start(None, wanted)
        assert [r.pid for r in again.replicas()] == [second.pid]
        await again.stop(end_replicas=True)
        # Still a child of this process: collected here, as init does after a real restart.
        assert second.pid is not None
        await asyncio.to_thread(os.waitpid, second.pid, 0)
        assert marked(bench.data_dir) == []
        assert not bench.writer.records

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
