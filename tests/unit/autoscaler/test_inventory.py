"""What a machine has: from a file, from NVML, from its cgroup."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from autoscaler.core.capacity_room import GpuModel, Node
from autoscaler.inventory import (
    HERE,
    NO_MACHINES,
    Gpu,
    Inventory,
    InventoryError,
    Machine,
    find_gpus,
    find_inventory,
    follow,
    inventory_of,
    read_inventory,
)
from controlplane.model.sections import AutoscalerSettings
from tests.fakes.processes import InlineExecutor
from tests.fakes.virtual_time import run_virtual

GIB = 2**30


class NvmlFaultError(Exception):
    """As NVML's own."""


@dataclass
class FakeNvml:
    """Answers as NVIDIA's library does; a device is its name, or a list of MIG slices."""

    devices: list[Any] = field(default_factory=list)
    starts: bool = True
    lists: bool = True
    lost: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    open: bool = False
    NVMLError: type[Exception] = NvmlFaultError

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.starts:
            raise NvmlFaultError("Driver Not Loaded")
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if not self.lists:
            raise NvmlFaultError("GPU is lost")
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        if self.devices[index] in self.unreachable:
            raise NvmlFaultError("Insufficient Permissions")
        return self.devices[index]

    def nvmlDeviceGetName(self, device: str) -> str | bytes:  # noqa: N802
        return device.encode() if device.endswith("old") else device

    def nvmlDeviceGetUUID(self, device: str) -> str:  # noqa: N802
        if device in self.lost:
            raise NvmlFaultError("GPU is lost")
        return f"GPU-{device}"

    def nvmlDeviceGetMemoryInfo(self, _: str) -> Any:  # noqa: N802
        return SimpleNamespace(total=24 * GIB)

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any) -> int:  # noqa: N802
        if isinstance(device, str):
            raise NvmlFaultError("Not Supported")
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: list[str], index: int) -> str:  # noqa: N802
        if index >= len(device):
            raise NvmlFaultError("Not Found")
        return device[index]


def test_gpus_are_those_that_nvml_lists():
    nvml = FakeNvml(["A10G", "T4 old"])
    assert find_gpus(nvml).gpus == (
        Gpu(id="GPU-A10G", type="A10G", memory_bytes=24 * GIB),
        Gpu(id="GPU-T4 old", type="T4 old", memory_bytes=24 * GIB),
    )
    assert not nvml.open


@pytest.mark.parametrize("lost", [("T4",), ("T4", "MIG a")])
def test_a_lost_gpu_hides_no_other(lost: tuple[str, ...], caplog: pytest.LogCaptureFixture):
    nvml = FakeNvml(["A10G", "T4", ["MIG a", "MIG b"], "L4"], lost=lost)
    found = find_gpus(nvml)
    wanted = ["A10G", "MIG a", "MIG b", "L4"]
    assert [gpu.type for gpu in found.gpus] == [name for name in wanted if name not in lost]
    assert found.missing
    assert [record.message for record in caplog.records] == ["a GPU is left out"] * len(lost)


def test_gpus_that_cannot_be_looked_at_are_there_all_the_same(tmp_path: Path):
    for nvml in (FakeNvml(["A"], lists=False), FakeNvml(["A"], unreachable=("A",))):
        found = find_inventory(nvml, cgroups=tmp_path)
        assert found.has_gpus
        assert found.machines[0].gpus == ()
    assert not find_inventory(FakeNvml(), cgroups=tmp_path).has_gpus
    assert not find_inventory(FakeNvml(starts=False), cgroups=tmp_path).has_gpus


def test_slices_of_a_gpu_are_gpus_of_their_own():
    found = find_gpus(FakeNvml([["MIG 1g.10gb", "MIG 3g.40gb"], "A10G"]))
    assert [gpu.type for gpu in found.gpus] == ["MIG 1g.10gb", "MIG 3g.40gb", "A10G"]


@pytest.mark.parametrize(
    "nvml", [None, FakeNvml(["A"], starts=False), FakeNvml(["A"], lists=False)]
)
def test_without_a_driver_that_answers_no_gpus_are_known(nvml: FakeNvml | None):
    assert find_gpus(nvml).gpus == ()
    assert nvml is None or not nvml.open


@pytest.mark.parametrize(
    ("files", "cpu", "memory"),
    [
        pytest.param({}, None, None, id="no-cgroup"),
        pytest.param({"cpu.max": "max 100000", "memory.max": "max"}, None, None, id="no-limits"),
        pytest.param({"cpu.max": "50000 100000", "memory.max": str(GIB)}, 0.5, GIB, id="limits"),
        pytest.param(
            {"cpu.max": "100000000 100000", "memory.max": str(2**60)}, None, None, id="roomy-limits"
        ),
    ],
)
def test_cpu_and_memory_are_the_machine_s_within_its_cgroup(
    tmp_path: Path, files: dict[str, str], cpu: float | None, memory: int | None
):
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    [machine] = find_inventory(FakeNvml(), cgroups=tmp_path).machines
    assert machine.name == HERE
    assert machine.memory_bytes == (memory or psutil.virtual_memory().total)
    assert machine.cpu == cpu if cpu else machine.cpu >= 1


def test_equal_gpus_are_counted_with_what_all_of_them_have():
    gpus = (
        Gpu(id="a", type="A10G", memory_bytes=24 * GIB),
        Gpu(id="b", type="A10G", memory_bytes=23 * GIB),
        Gpu(id="c", type="L4"),
    )
    inventory = Inventory(machines=(Machine(name="n", cpu=1.0, memory_bytes=1, gpus=gpus),))
    assert inventory.nodes().nodes == (
        Node(
            name="n",
            cpu=1.0,
            memory_bytes=1,
            gpus=(
                GpuModel(type="A10G", memory_bytes=23 * GIB, count=2),
                GpuModel(type="L4", count=1),
            ),
        ),
    )
    assert inventory.has_gpus
    assert not NO_MACHINES.has_gpus


NODES = """
nodes:
  - name: one
    cpu_count: 16
    memory_mb: 65536
    gpus:
      - {type: nvidia-a10g, count: 2, memory_mb: 24576}
      - {type: nvidia-l4, ids: [GPU-x]}
  - {name: two, cpu_count: 0.5, memory_mb: 1}
"""


def test_a_file_names_nodes_and_their_gpus(tmp_path: Path):
    path = tmp_path / "nodes.yaml"
    path.write_text(NODES)
    assert inventory_of(AutoscalerSettings(inventory_file=str(path))) == Inventory(
        machines=(
            Machine(
                name="one",
                cpu=16.0,
                memory_bytes=64 * GIB,
                gpus=(
                    Gpu(id="one-gpu-0", type="nvidia-a10g", memory_bytes=24 * GIB),
                    Gpu(id="one-gpu-1", type="nvidia-a10g", memory_bytes=24 * GIB),
                    Gpu(id="GPU-x", type="nvidia-l4"),
                ),
            ),
            Machine(name="two", cpu=0.5, memory_bytes=2**20),
        )
    )


def test_without_a_file_it_is_this_machine():
    assert [machine.name for machine in inventory_of(AutoscalerSettings()).machines] == [HERE]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("nodes: [", "nodes.yaml: "),
        ("machines: []", "nodes"),
        ("nodes: [{name: a, cpu_count: 1, memory_mb: 1, disks: 3}]", "disks"),
        ("nodes: [{name: a, cpu_count: 1, memory_mb: 0}]", "memory_mb"),
        ("nodes: [{name: a, cpu_count: -1, memory_mb: 1}]", "cpu_count"),
        ("nodes: [{name: a, cpu_count: 1, memory_mb: 1, gpus: [{type: t, count: 0}]}]", "count"),
        ("nodes: [{name: a, cpu_count: 1, memory_mb: 1, gpus: [{type: t, ids: ['x,y']}]}]", "ids"),
        (
            "nodes: [{name: a, cpu_count: 1, memory_mb: 1}, {name: a, cpu_count: 1, memory_mb: 1}]",
            "node 'a' is there twice",
        ),
        (
            "nodes: [{name: a, cpu_count: 1, memory_mb: 1, gpus: [{type: t, ids: [x, x]}]}]",
            "GPU 'x' is there twice",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, text: str | None, words: str
):
    path = tmp_path / "nodes.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InventoryError, match=r"nodes\.yaml") as raised:
        read_inventory(path)
    assert words in str(raised.value)


def gpus_of(count: int, *, name: str = "box") -> Inventory:
    """A node with so many GPUs."""
    gpus = tuple(Gpu(id=f"g{number}", type="A10G") for number in range(count))
    return Inventory(machines=(Machine(name=name, cpu=4.0, memory_bytes=2**30, gpus=gpus),))


def test_one_inventory_lacks_what_the_other_has():
    assert not gpus_of(2).lacks(gpus_of(1))
    assert gpus_of(1).lacks(gpus_of(2))
    assert gpus_of(1, name="other").lacks(gpus_of(1))
    assert not gpus_of(1).lacks(NO_MACHINES)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([2, 2, 2], [], id="nothing-is-new"),
        pytest.param([4, 4, 5], [4, 5], id="what-is-added-counts-at-once"),
        pytest.param([1, 2, 2], [], id="what-is-missing-once-is-not-gone"),
        pytest.param([1, 1, 1], [1], id="what-is-missing-twice-is"),
        pytest.param([1, 0, 0], [0], id="in-a-row-and-the-same"),
        pytest.param([1, 0, 1], [], id="one-loss-after-another-is-none-twice"),
        pytest.param([1, "away", 1], [1], id="a-file-that-cannot-be-used-says-nothing"),
        pytest.param(["away", "away", 3, "away"], [3], id="and-is-told-of-once-a-time"),
        pytest.param(["fault", "fault", 3, "fault", 4], [3, 4], id="nor-does-what-nobody-foresaw"),
    ],
)
def test_what_there_is_is_looked_at_again(looks, expected, caplog: pytest.LogCaptureFixture):
    used, faults = followed(looks)
    assert used == [gpus_of(2), *(gpus_of(count) for count in expected)]
    assert faults == looks.count("fault")
    for word, said in (("away", "stays as it is"), ("fault", "not followed")):
        told = [record for record in caplog.records if said in record.message]
        begins = [one == word != before for one, before in zip(looks, [0, *looks], strict=False)]
        assert len(told) == sum(begins)


def followed(looks, *, unusable: tuple[int, ...] = ()) -> tuple[list[Inventory], int]:
    """What was used in so many looks, and how many faults were counted.

    Args:
        looks: What each look finds: a number of GPUs, or what is wrong.
        unusable: Uses that fail, from 0.
    """
    left, used, tries, faults = list(looks), [], [], []

    def find() -> Inventory:
        found = left.pop(0)
        if found == "away":
            raise InventoryError("the file is away")
        if found == "fault":
            raise RuntimeError("nobody thought of this")
        return gpus_of(found)

    async def use(inventory: Inventory) -> None:
        tries.append(inventory)
        if len(tries) - 1 in unusable:
            raise RuntimeError("it cannot be used")
        used.append(inventory)

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(InlineExecutor())
        with suppress(TimeoutError):
            async with asyncio.timeout(30.0 * len(looks) + 15):
                await follow(gpus_of(2), find, use, failed=lambda: faults.append(1), every_s=30.0)

    run_virtual(scenario())
    return used, len(faults)


def test_what_could_not_be_used_is_used_at_the_next_look(caplog: pytest.LogCaptureFixture):
    assert followed([2, 2], unusable=(0,)) == ([gpus_of(2)], 1)
    assert followed([3, 4, 4], unusable=(1,)) == ([gpus_of(2), gpus_of(4)], 1)
    caplog.clear()
    assert followed([3, 3, 3], unusable=(1, 2)) == ([gpus_of(2), gpus_of(3)], 2)
    assert len([r for r in caplog.records if "not followed" in r.message]) == 1


def test_an_inventory_that_never_changes_is_used_until_that_goes_well():
    tries: list[Inventory] = []

    async def use(inventory: Inventory) -> None:
        tries.append(inventory)
        if len(tries) < 3:
            raise RuntimeError("it cannot be used")

    run_virtual(follow(NO_MACHINES, None, use, failed=lambda: None))
    assert tries == [NO_MACHINES] * 3


def test_what_was_said_of_gpus_is_not_said_again(caplog: pytest.LogCaptureFixture):
    assert find_gpus(FakeNvml(["A"], lost=("A",)), again=True).missing
    assert find_gpus(FakeNvml(lists=False), again=True).missing
    assert not find_gpus(FakeNvml(starts=False), again=True).missing
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
