"""Programs that some tests need and not every machine has."""

import os
import shutil
from pathlib import Path

import pytest


def require_tool(name: str, install: str) -> Path:
    """The path of a program; without it the test is skipped, or fails in CI.

    Args:
        name: The program, as found on the PATH.
        install: The command that installs it, for the message.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    message = f"needs {name} ({install})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
