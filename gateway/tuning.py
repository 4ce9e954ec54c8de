"""What a worker asks of the system, the C library and the interpreter before it serves."""

import contextlib
import ctypes
import gc
import resource
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
"""glibc's <malloc.h>."""

_MIB: Final = 1024 * 1024
MEMORY: Final = {_M_MMAP_THRESHOLD: 8 * _MIB, _M_TRIM_THRESHOLD: 64 * _MIB, _M_TOP_PAD: 4 * _MIB}


def allow_files() -> None:
    """As many open files as the operating system lets us have; shells often allow 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_memory() -> None:
    """Do not give the memory of every large read back to the kernel, to ask for it again.

    Pieces of a body are up to 256 KiB. By default glibc returns such a piece when it is freed, and
    the next one costs a page fault for every 4 KiB: 30 % of the CPU time of a 1 MiB answer. At most
    64 MiB are kept. Other C libraries have no such call, and nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in MEMORY.items():
            mallopt(option, value)


def collect_rarely() -> None:
    """What is alive now stays alive: collections need not look at it again.

    Finished exchanges leave no cycles: the collector only costs. Rarely is often enough.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
