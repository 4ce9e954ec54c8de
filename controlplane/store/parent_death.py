"""Ending a child process when its parent is gone, where the kernel can do that."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel signal the child when its parent ends.

    The kernel watches the parent's *thread* that started the child, not the whole process.

    Args:
        number: The signal to send.

    Returns:
        None where the kernel cannot do it (it is a Linux call).
    """
    if not sys.platform.startswith("linux"):
        return None
    # Looked up here: between fork and exec nothing may take a lock, as loading a library does.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return before_exec
