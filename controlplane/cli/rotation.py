"""Log files that never grow without bound, whoever writes them.

Children hold their log file open in append mode, so it cannot be renamed under them: it is
copied, then cut to zero. Lines written between the two steps are lost; that is a few
microseconds every 16 MiB.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MAX_LOG_BYTES: Final = 16 * 1024 * 1024


def rotate(paths: Iterable[Path], *, max_bytes: int = MAX_LOG_BYTES) -> list[Path]:
    """Move the content of every file larger than `max_bytes` to `<name>.1`.

    Returns:
        The files that were cut. Files that are not there are passed over. When the disk has no
        room for the copy, the file is cut all the same: a full disk needs it most.
    """
    cut = []
    for path in paths:
        try:
            if path.stat().st_size <= max_bytes:
                continue
        except OSError:
            continue
        older = path.with_name(path.name + ".1")
        try:
            shutil.copyfile(path, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(path, 0)
        cut.append(path)
    return cut


def tail(path: Path, *, lines: int, max_bytes: int = 65_536) -> list[str]:
    """The last lines of a text file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
