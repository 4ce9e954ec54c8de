"""A program that starts replicas and waits to be killed: `python -m ... DATA_DIR COUNT [COMMAND]`.

It prints the records as one JSON line when all are ready.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from autoscaler.reconcilers.processes import ProcessReconciler
from controlplane.model.states import ReplicaPhase
from tests.fakes.replicas import SAMPLE, KnownSecrets, RecordingWriter, container, ids, proton
from tests.fakes.waiting import until
from tests.integration.reconciler.conftest import quick


async def main(data_dir: Path, count: int, command: Sequence[str]) -> None:
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
    reconciler.plan(proton(container(command)), count)
    await until(lambda: writer.phases() == [ReplicaPhase.READY] * count)
    sys.stdout.write(msgspec.json.encode(list(writer.records.values())).decode() + "\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or SAMPLE))
