"""`tidegate roll`: replace the gateway workers of the running installation, losing no request."""

import os
import signal
import time
from pathlib import Path
from typing import Final

from controlplane.cli import options
from controlplane.cli.datadir import RunInfo, running
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import say
from controlplane.cli.settings import data_directory, load_settings

DEFAULT_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.05


def roll(
    *, timeout: options.TimeoutS = DEFAULT_TIMEOUT_S, data_dir: options.DataDirectory = None
) -> None:
    """Replace the gateway workers of the running `tidegate up` one after the other.

    New workers take over the same sockets; the old ones finish what they have begun. Settings
    stay those that `up` was started with. Ends when the last new worker serves. Without a terminal
    `kill -HUP` of `tidegate up` does the same.
    """
    settings, _ = load_settings(named={"up.data_dir": data_dir})
    directory = data_directory(settings)
    before = running(directory)
    if before is None or not before.ready:
        raise CliError(
            f"no `tidegate up` is ready with the data directory {directory}",
            hint="Start it, or name its directory with --data-dir.",
        )
    os.kill(before.pid, signal.SIGUSR1)
    after = _await(directory, wanted=before.rolls_begun + 1, timeout_s=timeout)
    if after.roll_error:
        raise CliError(
            f"the gateway workers were not all replaced: {after.roll_error}",
            hint=f"Those that were not serve as before; {directory}/logs says what went wrong.",
        )
    say(f"{len(after.admin_urls)} gateway workers replaced")


def _await(directory: Path, *, wanted: int, timeout_s: float) -> RunInfo:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        info = running(directory)
        if info is None:
            raise CliError("`tidegate up` ended meanwhile")
        if info.rolls_ended >= wanted:
            return info
        time.sleep(_POLL_S)
    raise CliError(
        f"the gateway workers are not all replaced after {timeout_s:g} s",
        hint="It goes on; `tidegate up` tells what happens.",
        code=ExitCode.TIMEOUT,
    )
