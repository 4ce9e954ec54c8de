"""The files of a replica: its output, its working directory, and what stays after its end.

    DATA/replicas/<workload id>/<replica id>/
        output.log      standard output and error, appended by the replica itself
        output.log.1    the older part, after a rotation
        work/           working directory; removed when the replica ends

The replica holds the file open, so it cannot be renamed away from it: rotation copies it and cuts
it to zero length, which O_APPEND makes safe. What the replica writes between the two (some
microseconds per MiB) is lost; a pipe through the autoscaler would lose everything when that dies.
All functions block: call them in a thread.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

KEPT_ENDED: Final = 5
"""Directories of ended replicas kept per workload, for `tidegate logs`."""

KEPT_S: Final = 7 * 24 * 3600.0
"""Logs of a workload that has run nothing for this long are removed at the next start."""

TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 64 * 1024
_LINE_CHARS: Final = 500


class ReplicaFiles:
    """The directory of one replica."""

    def __init__(self, root: Path, workload_id: str, replica_id: str) -> None:
        self.directory = root / "replicas" / workload_id / replica_id
        self.output = self.directory / "output.log"
        self.older_output = self.directory / "output.log.1"
        self.work = self.directory / "work"

    def prepare(self) -> None:
        """Make the directories; what is there stays."""
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)

    def open_output(self) -> int:
        """A descriptor to append to the output with."""
        return os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, text: str) -> None:
        """Append one line of our own to the output."""
        descriptor = self.open_output()
        try:
            os.write(descriptor, f"tidegate: {text}\n".encode())
        finally:
            os.close(descriptor)

    def rotate(self, limit_bytes: int) -> bool:
        """Rotate the output if it has reached the limit; whether it had."""
        try:
            if self.output.stat().st_size < limit_bytes:
                return False
            shutil.copyfile(self.output, self.older_output)
            os.truncate(self.output, 0)
        except FileNotFoundError:
            return False
        return True

    def tail(self, lines: int = TAIL_LINES) -> tuple[str, ...]:
        """The last lines of the output, oldest first."""
        text = _end_of(self.output)
        if text.count(b"\n") < lines:
            text = _end_of(self.older_output) + text
        decoded = text.decode(errors="replace").splitlines()
        return tuple(line[:_LINE_CHARS] for line in decoded[-lines:])

    def close(self) -> None:
        """The replica has ended for good: keep its output, remove the rest."""
        shutil.rmtree(self.work, ignore_errors=True)


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES)
    except FileNotFoundError:
        return b""


def prune(root: Path, workload_id: str, live: Collection[str]) -> list[str]:
    """Remove the directories of ended replicas but for the newest `KEPT_ENDED`.

    Args:
        root: The data directory.
        workload_id: Whose replicas.
        live: Ids of replicas that have not ended.

    Returns:
        Ids of the removed ones.
    """
    parent = root / "replicas" / workload_id
    try:
        # Object ids begin with their time: by name is by age.
        ended = sorted(p.name for p in parent.iterdir() if p.name not in live)
    except FileNotFoundError:
        return []
    removed = ended[:-KEPT_ENDED]
    for name in removed:
        shutil.rmtree(parent / name, ignore_errors=True)
    for name in ended[-KEPT_ENDED:]:
        # Left behind by a replica that ended while nobody looked.
        shutil.rmtree(parent / name / "work", ignore_errors=True)
    return removed


def prune_all(root: Path, live: Collection[str], *, now_s: float) -> None:
    """Prune all workloads, and drop what workloads left that have run nothing for `KEPT_S`.

    Args:
        root: The data directory.
        live: Ids of replicas that have not ended.
        now_s: Wall clock, epoch seconds.
    """
    parent = root / "replicas"
    if not parent.is_dir():
        return
    for workload in parent.iterdir():
        prune(root, workload.name, live)
        # A directory's own time is that of the last replica that came or went in it.
        lives = any(replica.name in live for replica in workload.iterdir())
        if not lives and now_s - workload.stat().st_mtime > KEPT_S:
            shutil.rmtree(workload, ignore_errors=True)
