"""Reads what replicas write to their output files, line by line, over rotations and restarts.

A replica's file is cut to zero when it is rotated, and what it held is then in `<name>.1`: what was
not read yet is read there first. Positions are kept with the records, in one transaction, so that
a line is kept once, whenever a process dies. All methods block: call them in a thread.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from controlplane.telemetry.lines import read_line
from controlplane.telemetry.records import Attributes, Batch, Position

MAX_READ: Final = 1024 * 1024
"""Most bytes read of one replica at a time; the rest is for the next round."""
MAX_LINE: Final = 64 * 1024
"""A line that is longer is taken in pieces."""
MAX_READ_OUT: Final = 10_000
"""Ended replicas remembered, so that none is read twice."""
_US: Final = 1000


class Tail:
    """One replica's output."""

    def __init__(self, position: Position) -> None:
        self._path = Path(position.path)
        self._at = position
        self.ending = False
        """The replica has ended: what is there is all."""

    @property
    def workload_id(self) -> str:
        """Whose output it is."""
        return self._at.workload_id

    def read(self, limit: int) -> tuple[Batch | None, Position]:
        """New lines, and the position after them; nothing changes until `advance`.

        Args:
            limit: Most bytes to read.
        """
        at = self._at
        data, start, rotated = self._new_bytes(at.offset, limit)
        last = len(data) < limit
        end = data.rfind(b"\n") + 1
        if last and (rotated or self.ending):
            end = len(data)  # nothing will be added to this
        elif not end and len(data) >= MAX_LINE:
            end = MAX_LINE
        position = Position(
            replica_id=at.replica_id,
            workload_id=at.workload_id,
            proton_id=at.proton_id,
            path=at.path,
            offset=start + end,
            ended=self.ending and last and not rotated,
            gone=self.ending and not self._path.exists(),
        )
        if not end:
            return None, position
        now_ns = time.time_ns()
        lines = data[:end].decode("utf-8", "replace").split("\n")
        resource = resource_of(at)
        records = [
            # One microsecond apart: clients tell lines apart, and order them, by their time.
            read_line(line.rstrip("\r"), time_ns=now_ns + index * _US, resource=resource)
            for index, line in enumerate(lines)
            if line.strip()
        ]
        batch = Batch(workload_id=at.workload_id, size=end, logs=records, position=position)
        return batch, position

    def advance(self, position: Position) -> None:
        """What was read is safe."""
        self._at = position

    def _new_bytes(self, offset: int, limit: int) -> tuple[bytes, int, bool]:
        """Bytes from a position on, the position, and whether they are a rotated file's rest."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < offset:
                    rest = self._rotated(offset, limit)
                    if rest:
                        return rest, offset, True
                    offset = 0
                file.seek(offset)
                return file.read(limit), offset, False
        except OSError:
            return b"", offset, False

    def _rotated(self, offset: int, limit: int) -> bytes:
        try:
            with self._path.with_name(f"{self._path.name}.1").open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except OSError:
            return b""


class Tails:
    """All replicas' outputs on this machine.

    Args:
        submit: Takes a batch; False: later.
        allowed: Bytes that a workload may add now.
        spent: Told what it has added.
    """

    def __init__(
        self,
        submit: Callable[[Batch], bool],
        *,
        allowed: Callable[[str], float],
        spent: Callable[[str, int], None],
    ) -> None:
        self._submit = submit
        self._allowed = allowed
        self._spent = spent
        self._tails: dict[str, Tail] = {}
        self._read: dict[str, Position] = {}
        """Replicas that have ended, and where: read to their end. Oldest first."""

    def resume(self, positions: Iterable[Position]) -> None:
        """Read these, too, from their offsets on, if they are not known."""
        for position in positions:
            if position.replica_id not in self._tails:
                # One that was taken for ended may have been found before its record was.
                known = self._read.pop(position.replica_id, position)
                self._tails[position.replica_id] = Tail(known)

    def follow(self, present: Iterable[Position]) -> None:
        """These replicas run; others have ended.

        Args:
            present: Where their outputs are; offsets count for new ones only.
        """
        known = {position.replica_id: position for position in present}
        self.resume(known.values())
        for replica_id, tail in self._tails.items():
            tail.ending = replica_id not in known

    def step(self) -> None:
        """Read what is new of every replica, at most once each."""
        for replica_id, tail in list(self._tails.items()):
            limit = min(MAX_READ, int(self._allowed(tail.workload_id)))
            if limit < MAX_LINE:
                continue
            batch, position = tail.read(limit)
            if batch is None and position.gone:
                batch = Batch(workload_id=tail.workload_id, size=0, position=position)
            if batch is not None:
                if not self._submit(batch):
                    continue
                self._spent(tail.workload_id, batch.size)
                tail.advance(position)
            if position.ended:
                del self._tails[replica_id]
                self._remember(position)

    def _remember(self, position: Position) -> None:
        if not position.gone:
            self._read[position.replica_id] = dataclasses.replace(position, ended=False)
            if len(self._read) > MAX_READ_OUT:
                del self._read[next(iter(self._read))]


def resource_of(position: Position) -> Attributes:
    """Who wrote a line, as attributes: the names that OTLP records of replicas have, too."""
    resource = {
        "service.name": f"workload-{position.workload_id}",
        "service.instance.id": position.replica_id,
        "workload_id": position.workload_id,
        "replica_id": position.replica_id,
    }
    if position.proton_id:
        resource["proton_id"] = position.proton_id
    return resource


def left_behind(data_dir: Path, *, newer_than_s: float) -> list[Position]:
    """Outputs in a data directory of replicas that may have run while nobody read.

    Args:
        data_dir: The installation's.
        newer_than_s: Written after this, epoch seconds.
    """
    found = []
    for path in (data_dir / "replicas").glob("*/*/output.log"):
        try:
            if path.stat().st_mtime <= newer_than_s:
                continue
        except OSError:
            continue
        found.append(
            Position(
                replica_id=path.parent.name,
                workload_id=path.parent.parent.name,
                proton_id="",
                path=str(path),
                offset=0,
            )
        )
    return found
