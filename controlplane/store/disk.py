"""Refusing writes while the disk still has room, so that the server never meets a full one.

With `appendfsync always` the server ends itself when its log cannot grow. The reserve keeps it
alive, and every process with it: reads, reports and wake-ups go on.
"""

import os
import time
from pathlib import Path
from typing import Final

from controlplane.store.errors import StoreFullError

RECHECK_S: Final = 1.0
"""How long one look at the disk counts: a look is a system call that may block."""


class DiskGuard:
    """Knows how much room the data directory's file system has."""

    def __init__(self, data_dir: Path | None, *, min_free_bytes: int) -> None:
        """Watch one directory.

        Args:
            data_dir: None: nothing is checked (an external server minds its own disk).
            min_free_bytes: Room below which writes are refused.
        """
        self._data_dir = data_dir
        self._min_free_bytes = min_free_bytes
        self._looked_at_s = -RECHECK_S
        self._free_bytes: int | None = None

    def check(self) -> None:
        """Return when there is room.

        Raises:
            StoreFullError: There is not; names the directory and what is free.
        """
        if not self.has_room():
            raise StoreFullError(
                f"{self._data_dir} has {(self._free_bytes or 0) >> 20} MiB left on its disk, the "
                f"store keeps {self._min_free_bytes >> 20} MiB in reserve: make room, then try "
                "again"
            )

    def has_room(self) -> bool:
        """Whether the disk has more than the reserve; true when that cannot be told."""
        if self._data_dir is None:
            return True
        now_s = time.monotonic()
        if self._free_bytes is None or now_s - self._looked_at_s >= RECHECK_S:
            self._looked_at_s = now_s
            try:
                status = os.statvfs(self._data_dir)
            except OSError:
                return True
            self._free_bytes = status.f_bavail * status.f_frsize
        return self._free_bytes >= self._min_free_bytes
