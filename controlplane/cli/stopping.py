"""The end of one stage of an installation: ask, wait, hurry, kill."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Final

from controlplane.cli.children import Announce, Child, Stage

HURRY_GRACE_S: Final = 2.0
"""A hurried stop still lets the autoscaler end its replicas and the store close its files."""


async def end_stage(
    group: Sequence[Child],
    tasks: Sequence[asyncio.Task[None]],
    *,
    timeout_s: float,
    hurry: asyncio.Event,
    announce: Announce,
) -> None:
    """Wait until children that were told to end have ended; kill those that take too long.

    Args:
        group: The children, all of one stage.
        tasks: Those that watch them; they are over afterwards.
        timeout_s: How long they may take.
        hurry: When it is set, nobody waits any longer.
        announce: Told of those that are killed.
    """
    hurried = asyncio.create_task(hurry.wait())
    done: asyncio.Task[object] = asyncio.create_task(asyncio.wait(tasks))
    try:
        await asyncio.wait(
            [done, hurried],
            timeout=timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if hurry.is_set() and not done.done():
            for child in group:
                child.signal(signal.SIGTERM)
            grace_s = 0.0 if group[0].stage is Stage.GATEWAY else HURRY_GRACE_S
            await asyncio.wait([done], timeout=grace_s)
        for child in group:
            if child.pid is not None:
                announce("killed", f"{child.name} did not stop, killed")
                child.signal(signal.SIGKILL)
        await asyncio.wait([done], timeout=HURRY_GRACE_S)
    finally:
        hurried.cancel()
        # Only a child whose start hangs is still here.
        for task in tasks:
            task.cancel()
        await asyncio.gather(hurried, done, *tasks, return_exceptions=True)
