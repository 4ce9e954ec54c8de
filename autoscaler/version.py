"""Which code decides: in every record, so that a replay knows whether it runs the same."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from autoscaler import core


@cache
def code_version() -> str:
    """The release, and a digest of the modules that decide: `0.5.0+core.1f0c3a9be2d4`.

    Two processes with the same answer make the same decision from the same basis, bit for bit.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(str(core.__file__)).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return f"{version('tidegate')}+core.{digest.hexdigest()[:12]}"
