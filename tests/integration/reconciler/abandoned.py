"""A program that starts replicas and waits to be killed: `python -m ... DATA_DIR COUNT`.

It prints the records as one JSON line when all are ready.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.states import ReplicaPhase
from tests.fakes.replicas import KnownSecrets, RecordingWriter, ids, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import quick


async def main(data_dir: Path, count: int) -> None:
    writer = RecordingWriter()
    reconciler = ProcessReconciler(
        quick(),
        data_dir=data_dir,
        writer=writer,
        secrets=KnownSecrets(),
        new_id=ids(),
        on_change=lambda: None,
    )
    await reconciler.start([], {})
    reconciler.plan(proton(), count)
    await until(lambda: writer.phases() == [ReplicaPhase.READY] * count)
    sys.stdout.write(msgspec.json.encode(list(writer.records.values())).decode() + "\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
