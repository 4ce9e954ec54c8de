"""`tidegate record` over a real store, from its start to Ctrl-C."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from autoscaler.replay.formats import open_trace
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store
from tests.integration.autoscaler.conftest import PATIENCE_S, until

REPORT_TTL_S = 60.0


def report(clock_s: float, started: int) -> LoadReport:
    load = ProtonLoad(
        workload_id="a" * 24,
        started=started,
        finished={"2xx": started},
        load_seconds=0.5 * started,
        response_time={512: started},
        response_seconds=0.5 * started,
    )
    return LoadReport(
        worker_id="w", sent_at=clock_s, clock_s=clock_s, revision=1, protons={"p": load}
    )


async def record(out: Path, *arguments: str) -> asyncio.subprocess.Process:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autoscaler.replay", "record", str(out), *arguments),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_recording_has_every_request_until_ctrl_c_and_is_a_trace(store_url, tmp_path):
    out = tmp_path / "recording.jsonl"
    async with await Store.connect(StoreSettings(url=store_url), client_name="test") as store:
        await store.publish_report(report(1.0, 5), ttl_s=REPORT_TTL_S)
        process = await record(out, "--store", store_url, "--interval", "0.2")
        try:
            assert process.stderr is not None
            async with asyncio.timeout(PATIENCE_S):
                assert b"recording" in await process.stderr.readline()
            await store.publish_report(report(2.0, 12), ttl_s=REPORT_TTL_S)
            await until(lambda: '"started":7' in out.read_text())
            await store.publish_report(report(3.0, 15), ttl_s=REPORT_TTL_S)
            process.send_signal(signal.SIGINT)
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, said
    assert b"10 requests" in said, "the last step is taken after Ctrl-C"
    trace = open_trace(out)
    found = list(trace.read())
    assert trace.format == "recording"
    assert len(found) == 10
    assert {arrival.workload for arrival in found} == {"a" * 24}


async def test_a_file_that_is_there_stays_as_it_is(store_url, tmp_path):
    out = tmp_path / "precious"
    out.write_text("mine")
    process = await record(out, "--store", store_url, "--for", "0.1")
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert b"is there already" in said
    assert out.read_text() == "mine"
