"""Waiting for a workload to reach a state, and telling why it does not."""

import time
from typing import Final

from controlplane.cli.client import Api, ApiError, Json
from controlplane.cli.errors import CliError, ExitCode

TARGETS: Final[dict[str, frozenset[str]]] = {
    "settled": frozenset({"running", "suspended"}),
    "running": frozenset({"running"}),
    "suspended": frozenset({"suspended"}),
    "stopped": frozenset({"stopped"}),
    "deleted": frozenset(),
}
"""What `--for` accepts, and the statuses that fulfil it. `suspended`: at zero, wakes on request."""

DEFAULT_TIMEOUT_S: Final = 120.0
_FIRST_POLL_S: Final = 0.1
_MAX_POLL_S: Final = 1.0
_GONE: Final = 404


def wait_for(api: Api, workload_id: str, target: str, *, timeout_s: float) -> Json | None:
    """Poll until the workload is in the target state.

    Args:
        api: The API.
        workload_id: Its id: a name could change hands.
        target: A key of `TARGETS`.
        timeout_s: Give up after this.

    Returns:
        The workload; None when it is gone and `deleted` was waited for.

    Raises:
        CliError: It is errored (with what its owner should do), gone, or time is up (exit code 4).
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_POLL_S
    while True:
        try:
            workload: Json = api.call("GET", f"workloads/{workload_id}")
        except ApiError as exc:
            if exc.status == _GONE and target == "deleted":
                return None
            raise
        status = workload["status"]
        if status in TARGETS[target]:
            return workload
        if status == "errored" and target not in {"stopped", "deleted"}:
            raise errored(workload)
        if time.monotonic() >= deadline:
            raise CliError(
                f"{workload['name']!r} is {status}, not {target}, after {timeout_s:g} s",
                hint=_advice(workload),
                code=ExitCode.TIMEOUT,
            )
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
        pause_s = min(pause_s * 1.5, _MAX_POLL_S)


def errored(workload: Json) -> CliError:
    """What went wrong with an errored workload, in its own words."""
    return CliError(f"{workload['name']!r} is errored", hint=_advice(workload))


def _advice(workload: Json) -> str:
    details = workload.get("statusDetails") or {}
    lines = [details["message"]] if details.get("message") else []
    lines += [f"  | {line}" for line in (details.get("logTail") or [])[-10:]]
    return "\n".join(lines) or f"`tidegate explain {workload['id']}` may say more."
