"""Memory and CPU limits by the kernel, where it lets us: cgroup v2 groups of our own.

An ordinary user may set limits when a part of the cgroup tree was delegated to them (systemd does
that for user sessions) and its controllers are switched on for children. Two places are tried:
below our own group, and beside it. Where neither works, memory is watched (see
`processes_usage`) and CPU is not limited.
"""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controlplane.model.artifacts import Resources

_log = logging.getLogger(__name__)

PERIOD_US: Final = 100_000
"""Period of the CPU quota, the kernel's default."""

_WANTED: Final = frozenset({"memory", "cpu"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The group of one replica, with the limits that it really enforces."""

    path: Path
    memory: bool
    cpu: bool

    def add(self, pid: int) -> None:
        """Move a process in, and with it everything that it will start.

        Raises:
            OSError: The kernel refuses.
        """
        _write(self.path / "cgroup.procs", str(pid))

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for using too much memory."""
        with suppress(OSError):
            for line in (self.path / "memory.events").read_text().splitlines():
                if line.startswith("oom_kill ") and line != "oom_kill 0":
                    return True
        return False

    def remove(self) -> None:
        """Take the group away; its processes must have ended."""
        # EBUSY while a killed process is not collected: an empty group is harmless, and the
        # next replica's start removes it.
        with suppress(OSError):
            self.path.rmdir()


class CgroupTree:
    """Where groups for replicas can be made."""

    def __init__(self, parent: Path, controllers: frozenset[str]) -> None:
        self.parent = parent
        self.controllers = controllers

    @classmethod
    def find(
        cls, *, mount: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
    ) -> "CgroupTree | None":
        """The place for our groups; None: this process may not set limits.

        Args:
            mount: Where the cgroup v2 file system is.
            own: The file that names this process's group.
        """
        try:
            lines = own.read_text().splitlines()
        except OSError:
            return None
        unified = [line[3:] for line in lines if line.startswith("0::/")]
        if not unified:
            return None
        here = mount / unified[0].lstrip("/")
        places = [here] if here == mount else [here, here.parent]
        # Only our own group's switch is ours to touch: the one above belongs to others, too.
        if _controllers(here) != _WANTED:
            with suppress(OSError):
                # EBUSY where processes are in it, then the kernel allows groups beside it only.
                _write(here / "cgroup.subtree_control", "+memory +cpu")
        for place in places:
            controllers = _controllers(place)
            if controllers and os.access(place, os.W_OK):
                return cls(place, controllers)
        return None

    def make(self, replica_id: str, resources: Resources) -> Cgroup | None:
        """A group with the replica's limits; None: nothing to limit, or the kernel refuses."""
        memory = resources.memory_bytes if "memory" in self.controllers else None
        cpu = resources.cpu if "cpu" in self.controllers else None
        if memory is None and cpu is None:
            return None
        path = self.parent / f"tidegate-{replica_id}"
        try:
            path.mkdir(exist_ok=True)
            if memory is not None:
                _write(path / "memory.max", str(memory))
                # The replica fails as a whole, not one of its workers at random.
                _write(path / "memory.oom.group", "1")
                with suppress(OSError):
                    _write(path / "memory.swap.max", "0")
            if cpu is not None:
                _write(path / "cpu.max", f"{max(1000, int(cpu * PERIOD_US))} {PERIOD_US}")
        except OSError as exc:
            _log.warning("no cgroup limits", extra={"replica_id": replica_id, "error": str(exc)})
            with suppress(OSError):
                path.rmdir()
            return None
        return Cgroup(path=path, memory=memory is not None, cpu=cpu is not None)


def _controllers(place: Path) -> frozenset[str]:
    """Controllers that children of a group have."""
    try:
        enabled = (place / "cgroup.subtree_control").read_text().split()
    except OSError:
        return frozenset()
    return frozenset(enabled) & _WANTED


def _write(path: Path, text: str) -> None:
    # No O_CREAT: in a cgroup file system files exist or the controller is missing.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
