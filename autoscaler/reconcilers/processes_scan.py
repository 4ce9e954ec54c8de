"""What runs on this machine for us, and where it listens. Blocks: call it in a thread.

A replica's process is known by the first of these that holds:

    its environment     carries our marks, as long as it leaves its environment alone
    its session         is led by the process that a replica's record names (id and start time)
    working directory   is one of ours, with the replica's id in its path

Programs may write over the memory that shows their environment (nginx, PostgreSQL and others keep
their title there), or start helpers with an empty one.
"""

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from autoscaler.core.replica_launch import HOME_MARK, REPLICA_MARK
from autoscaler.core.replica_sentences import Listening
from controlplane.model.workloads import Replica

SAME_START_S: Final = 2.0
"""Start times of one process differ by this at most between two looks, when the clock is set."""

PLACE_OF_WORK: Final = 2
"""Where `work` stands in the path below `replicas`: after the workload's and the replica's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One living process of a replica."""

    pid: int
    session: int
    """Process id of the leader of its session: the replica's main process."""
    replica_id: str
    started_at: float
    """As the kernel knows it, epoch seconds."""


def find_replicas(home: str, known: Sequence[Replica]) -> list[Found]:
    """All living processes of replicas that belong to this data directory.

    Reading the environment of another user's process is not allowed; those are not ours.

    Args:
        home: The data directory.
        known: The records of its replicas.
    """
    leaders = {record.pid: record.id for record in known if _leads(record)}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            session = os.getsid(process.pid)
            replica_id = _marked(process, home) or leaders.get(session) or _at_home(process, home)
            if replica_id is not None:
                found.append(
                    Found(
                        pid=process.pid,
                        session=session,
                        replica_id=replica_id,
                        started_at=process.create_time(),
                    )
                )
    return found


def same_start(found_at: float, recorded_at: float | None) -> bool:
    """Whether two start times may be those of one process."""
    return recorded_at is not None and abs(found_at - recorded_at) <= SAME_START_S


def _leads(record: Replica) -> bool:
    """Whether the process of a record lives, and leads the session that it began with."""
    if record.pid is None:
        return False
    with suppress(psutil.Error, OSError):
        started_at = psutil.Process(record.pid).create_time()
        return os.getsid(record.pid) == record.pid and same_start(
            started_at, record.process_started
        )
    return False


def _marked(process: psutil.Process, home: str) -> str | None:
    with suppress(psutil.AccessDenied):  # it may hide it from everybody, and be ours all the same
        environment = process.environ()
        return environment.get(REPLICA_MARK) if environment.get(HOME_MARK) == home else None
    return None


def _at_home(process: psutil.Process, home: str) -> str | None:
    """The replica in whose working directory (`ReplicaFiles.work`) a process is."""
    replicas = Path(home) / "replicas"
    path = Path(process.cwd().removesuffix(" (deleted)"))
    if not path.is_relative_to(replicas):
        return None
    parts = path.relative_to(replicas).parts
    return parts[1] if len(parts) > PLACE_OF_WORK and parts[PLACE_OF_WORK] == "work" else None


def kill_all(processes: Iterable[Found]) -> None:
    """Kill processes and their groups."""
    for process in processes:
        # A leader takes its group along, helpers that have left it are found by themselves.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)
        if process.session == process.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def session_members(leader: int) -> list[psutil.Process]:
    """The living processes of a replica: everything in its session."""
    members = []
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            if os.getsid(pid) == leader:
                members.append(psutil.Process(pid))
    return members


def listening(leader: int) -> tuple[Listening, ...] | None:
    """Where a replica's processes accept TCP connections; None: the system does not tell."""
    addresses = set()
    try:
        for process in session_members(leader):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    host, port = connection.laddr
                    addresses.add(Listening(host=host, port=port))
    except psutil.NoSuchProcess:
        pass
    except (psutil.Error, OSError):
        return None
    return tuple(sorted(addresses, key=lambda address: (address.port, address.host)))
