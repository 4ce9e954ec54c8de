"""Stories of one proton on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from autoscaler.reconcilers.processes_cgroup import CgroupTree
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import Proton
from tests.fakes.processes import InlineExecutor
from tests.fakes.replicas import container, proton
from tests.fakes.virtual_time import run_virtual
from tests.unit.autoscaler.reconcilers.proton_world import SETTINGS, World


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Play a story on virtual time, and see that nothing is left at its end."""

    def plays(
        story: Callable[[World], Awaitable[None]],
        wanted: Proton | None = None,
        settings: AutoscalerSettings = SETTINGS,
        cgroups: CgroupTree | None = None,
    ) -> None:
        async def scenario() -> None:
            asyncio.get_running_loop().set_default_executor(InlineExecutor())
            world = World(tmp_path, wanted or proton(container(("serve",))), settings, cgroups)
            await story(world)
            await world.end()

        run_virtual(scenario())

    return plays
