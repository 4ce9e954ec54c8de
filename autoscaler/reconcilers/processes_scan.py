"""What runs on this machine under our marks, and where it listens. Blocks: call it in a thread."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from autoscaler.core.replica_launch import HOME_MARK, REPLICA_MARK
from autoscaler.core.replica_sentences import Listening


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One living process that carries the marks of a replica."""

    pid: int
    session: int
    """Process id of the leader of its session: the replica's main process."""
    replica_id: str
    started_at: float
    """As the kernel knows it, epoch seconds."""


def find_marked(home: str) -> list[Found]:
    """All living processes of replicas that belong to this data directory.

    Reading the environment of another user's process is not allowed; those are not ours.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(HOME_MARK) != home or REPLICA_MARK not in environment:
                continue
            found.append(
                Found(
                    pid=process.pid,
                    session=os.getsid(process.pid),
                    replica_id=environment[REPLICA_MARK],
                    started_at=process.create_time(),
                )
            )
    return found


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
