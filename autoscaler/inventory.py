"""What this machine has for replicas: found out, or read from a file.

    GPUs    through NVML where NVIDIA's driver and the package `nvidia-ml-py` are there; MIG slices
            count as GPUs of their own. Otherwise none are known
    CPU     the cores that this process may run on, at most its cgroup's quota
    memory  the machine's, at most its cgroup's limit

`autoscaler.inventory_file` names nodes instead, in the words of the bundle catalogue (MiB), with
GPUs that nobody needs to have: to try out how capacity is shared, and for machines whose GPUs NVML
does not see.

    nodes:
      - name: box
        cpu_count: 16
        memory_mb: 65536
        gpus:
          - type: NVIDIA A10G
            count: 2
            memory_mb: 24576        # of each
          - type: NVIDIA L4
            ids: [GPU-8f5c..., GPU-02d1...]   # as CUDA takes them; otherwise made up
"""

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec
import psutil

from autoscaler.core.capacity_room import GpuModel, Node, Nodes, Spot
from controlplane.model.bundles import MIB
from controlplane.model.sections import AutoscalerSettings

HERE: Final = "localhost"
"""The node that this machine is."""

LOOK_EVERY_S: Final = 30.0
"""How often it is looked at again."""

CGROUPS: Final = Path("/sys/fs/cgroup")

_log = logging.getLogger(__name__)


class InventoryError(ValueError):
    """The inventory file cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, or one MIG slice."""

    id: str
    """As CUDA takes it: a UUID, or whatever the file says."""
    type: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node."""

    name: str
    cpu: float
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All nodes."""

    machines: tuple[Machine, ...]
    gpus_missing: bool = False
    """Whether there are GPUs that could not be looked at: nobody gets those."""

    @property
    def has_gpus(self) -> bool:
        """Whether there are GPUs, be they known or not."""
        return self.gpus_missing or any(machine.gpus for machine in self.machines)

    def lacks(self, other: "Inventory") -> bool:
        """Whether anything of another one is not here."""
        here = {machine.name: set(machine.gpus) for machine in self.machines}
        return not all(
            machine.name in here and here[machine.name].issuperset(machine.gpus)
            for machine in other.machines
        )

    def spots(self) -> dict[str, Spot]:
        """Where each GPU is, by its id."""
        return {gpu.id: Spot(m.name, gpu.type) for m in self.machines for gpu in m.gpus}

    def nodes(self) -> Nodes:
        """In the words of `core.capacity`: equal GPUs counted."""
        return Nodes([_node(machine) for machine in self.machines])


NO_MACHINES: Final = Inventory(machines=())
"""Where nothing is known of any machine."""


class Nvml(Protocol):
    """The part of `pynvml` that is used here."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802, D102 - NVIDIA's names
    def nvmlShutdown(self) -> None: ...  # noqa: N802, D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802, D102, ANN401
    def nvmlDeviceGetName(self, device: Any) -> str | bytes: ...  # noqa: N802, D102, ANN401
    def nvmlDeviceGetUUID(self, device: Any) -> str | bytes: ...  # noqa: N802, D102, ANN401
    def nvmlDeviceGetMemoryInfo(self, device: Any) -> Any: ...  # noqa: N802, D102, ANN401
    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any) -> int: ...  # noqa: N802, D102, ANN401
    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Any, index: int) -> Any: ...  # noqa: N802, D102, ANN401


def inventory_of(settings: AutoscalerSettings, *, again: bool = False) -> Inventory:
    """What replicas share: the nodes of `inventory_file`, or this machine. Blocks.

    Args:
        settings: Name the file.
        again: Not for the first time: what is wrong with GPUs has been said.

    Raises:
        InventoryError: The file cannot be used.
    """
    if settings.inventory_file is not None:
        return read_inventory(Path(settings.inventory_file).expanduser())
    return find_inventory(again=again)


def find_inventory(
    nvml: Nvml | None = None, *, cgroups: Path = CGROUPS, again: bool = False
) -> Inventory:
    """Look at this machine. Blocks for as long as the driver takes.

    Args:
        nvml: NVIDIA's library; None: where it is installed.
        cgroups: This process's cgroup.
        again: Not for the first time: what is wrong with GPUs has been said.
    """
    found = find_gpus(nvml if nvml is not None else _installed_nvml(), again=again)
    machine = Machine(
        name=HERE,
        cpu=_cores(cgroups),
        memory_bytes=_memory_bytes(cgroups),
        gpus=found.gpus,
    )
    return Inventory(machines=(machine,), gpus_missing=found.missing)


def read_inventory(path: Path) -> Inventory:
    """Read the nodes of a file.

    Raises:
        InventoryError: It cannot be read, or is something else.
    """
    try:
        listed = msgspec.yaml.decode(path.read_bytes(), type=_File)
    except OSError as exc:
        raise InventoryError(f"{path}: {exc.strerror}") from exc
    except msgspec.DecodeError as exc:
        raise InventoryError(f"{path}: {exc}") from exc
    machines = tuple(_machine(node) for node in listed.nodes)
    names = [machine.name for machine in machines]
    ids = [gpu.id for machine in machines for gpu in machine.gpus]
    for what, found in (("node", names), ("GPU", ids)):
        twice = sorted({name for name in found if found.count(name) > 1})
        if twice:
            raise InventoryError(f"{path}: {what} {twice[0]!r} is there twice")
    return Inventory(machines=machines)


async def follow(
    known: Inventory,
    find: Callable[[], Inventory] | None,
    use: Callable[[Inventory], Awaitable[None]],
    *,
    failed: Callable[[], None],
    every_s: float = LOOK_EVERY_S,
) -> None:
    """Have an inventory used, and look again from time to time for another one, for ever.

    What is gone counts as gone when it is at two looks in a row: drivers falter, and files are
    written in two steps. A file that cannot be used changes nothing. Whatever else goes wrong, in
    looking or in using, is counted and tried again at the next look. Each cause is told of once,
    until a look goes well.

    Args:
        known: What was found last; it is used first.
        find: Looks; in a thread. None: it never changes, so this ends when it has been used.
        use: Takes an inventory.
        failed: Called for each unforeseen fault.
        every_s: Between two looks.
    """
    missed: Inventory | None = None
    first, due, told = True, True, ""
    while True:
        try:
            if find is not None and not first:
                found = await asyncio.to_thread(find)
                if found == known or (found.lacks(known) and found != missed):
                    missed = found
                else:
                    known, missed, due = found, None, True
                    gpus = sum(len(machine.gpus) for machine in found.machines)
                    extra = {"nodes": len(found.machines), "gpus": gpus}
                    _log.warning("other machines or GPUs", extra=extra)
            first = False
            if due:
                await use(known)
                due = False
            told = ""
        except InventoryError as exc:
            if str(exc) != told:
                told = str(exc)
                _log.warning("the inventory stays as it is", extra={"error": told})
        except Exception as exc:  # noqa: BLE001 - a task's root: logged, tried again
            failed()
            if repr(exc) != told:
                told = repr(exc)
                _log.exception("the inventory is not followed; tried again at the next look")
        if find is None and not due:
            return
        await asyncio.sleep(every_s)


class FoundGpus(NamedTuple):
    """What NVML says."""

    gpus: tuple[Gpu, ...] = ()
    missing: bool = False
    """Whether it failed at some others: a GPU is lost, or they cannot be counted."""


def find_gpus(nvml: Nvml | None, *, again: bool = False) -> FoundGpus:
    """All GPUs that NVML knows; none where it is not there or there is no driver.

    Args:
        nvml: NVIDIA's library; None: it is not installed.
        again: Not for the first time: what is wrong has been said.
    """
    trouble = logging.DEBUG if again else logging.WARNING
    if nvml is None:
        return FoundGpus()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as exc:
        _log.log(min(trouble, logging.INFO), "no NVIDIA GPUs", extra={"nvml": str(exc)})
        return FoundGpus()
    try:
        return _listed(nvml, trouble)
    except nvml.NVMLError as exc:
        _log.log(trouble, "GPUs cannot be listed", extra={"nvml": str(exc)})
        return FoundGpus(missing=True)
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


_Mib = Annotated[int, msgspec.Meta(gt=0, le=2**40)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[^\s,]+$")]
"""CUDA takes a list of them, with commas."""


class _GpuEntry(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    count: Annotated[int, msgspec.Meta(gt=0, le=1024)] = 1
    memory_mb: _Mib | None = None
    ids: tuple[_Id, ...] = ()


class _NodeEntry(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    cpu_count: Annotated[float, msgspec.Meta(gt=0)]
    memory_mb: _Mib
    gpus: tuple[_GpuEntry, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    nodes: tuple[_NodeEntry, ...]


def _machine(entry: _NodeEntry) -> Machine:
    gpus: list[Gpu] = []
    for group in entry.gpus:
        memory_bytes = None if group.memory_mb is None else group.memory_mb * MIB
        ids = group.ids or tuple(
            f"{entry.name}-gpu-{len(gpus) + number}" for number in range(group.count)
        )
        gpus += [Gpu(id=one, type=group.type, memory_bytes=memory_bytes) for one in ids]
    return Machine(
        name=entry.name,
        cpu=entry.cpu_count,
        memory_bytes=entry.memory_mb * MIB,
        gpus=tuple(gpus),
    )


def _node(machine: Machine) -> Node:
    models: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        models.setdefault(gpu.type, []).append(gpu)
    return Node(
        name=machine.name,
        cpu=machine.cpu,
        memory_bytes=machine.memory_bytes,
        gpus=tuple(
            # Of equal ones that show different memory, the smallest: all of them have that.
            GpuModel(type=name, memory_bytes=_least(gpus), count=len(gpus))
            for name, gpus in models.items()
        ),
    )


def _least(gpus: list[Gpu]) -> int | None:
    return min((gpu.memory_bytes for gpu in gpus if gpu.memory_bytes is not None), default=None)


def _installed_nvml() -> Nvml | None:
    try:
        found: Nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    return found


def _listed(nvml: Nvml, trouble: int) -> FoundGpus:
    gpus: list[Gpu] = []
    missing = False

    def leave_out(index: int, exc: Exception) -> None:
        nonlocal missing
        missing = True
        _log.log(trouble, "a GPU is left out", extra={"index": index, "nvml": str(exc)})

    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            devices = _slices(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
        except nvml.NVMLError as exc:
            leave_out(index, exc)
            continue
        for device in devices:
            try:
                gpus.append(_gpu(nvml, device))
            except nvml.NVMLError as exc:
                leave_out(index, exc)
    return FoundGpus(tuple(gpus), missing)


def _slices(nvml: Nvml, device: Any) -> list[Any]:  # noqa: ANN401 - NVML's handle
    """The GPU itself, or its MIG slices where it is cut into some."""
    slices = []
    with suppress(nvml.NVMLError):  # not every GPU knows what MIG is
        for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
            with suppress(nvml.NVMLError):  # this place is empty
                slices.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
    return slices or [device]


def _gpu(nvml: Nvml, device: Any) -> Gpu:  # noqa: ANN401 - NVML's handle
    return Gpu(
        id=_text(nvml.nvmlDeviceGetUUID(device)),
        type=_text(nvml.nvmlDeviceGetName(device)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(device).total),
    )


def _text(found: str | bytes) -> str:
    return found.decode() if isinstance(found, bytes) else found


def _cores(cgroups: Path) -> float:
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if not hasattr(os, "sched_getaffinity"):  # macOS
        cores = float(os.cpu_count() or 1)
    with suppress(OSError, ValueError):
        quota, period = (cgroups / "cpu.max").read_text().split()
        cores = min(cores, int(quota) / int(period))
    return cores


def _memory_bytes(cgroups: Path) -> int:
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):  # "max": no limit
        total = min(total, int((cgroups / "memory.max").read_text()))
    return total
