"""What to tell the owner of a replica that does not do well: what is wrong, and what to do.

Each sentence stands in `Replica.message` as soon as it is true, not only when all is lost.
"""

import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autoscaler.core.replica_probes import ProbeKind
from controlplane.model.artifacts import Probe

MIB: Final = 1024 * 1024


class Outcome(StrEnum):
    """What came of one try of a probe."""

    SUCCESS = "success"
    """A status of 2xx; without an HTTP probe: the port accepted the connection."""
    STATUS = "status"
    """Another HTTP status."""
    REFUSED = "refused"
    """Nobody listens there, or the address cannot be reached."""
    SILENT = "silent"
    """Connected, but no complete status line within the time limit."""
    CLOSED = "closed"
    """Connected, and closed before a complete status line."""
    GARBAGE = "garbage"
    """The answer is not HTTP."""
    TLS = "tls"
    """The TLS handshake failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One try of a probe."""

    outcome: Outcome
    status: int | None = None
    """HTTP status where there was one."""
    detail: str = ""
    """The first bytes of garbage, or the system's words for a failed connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """One address on which a replica's processes listen."""

    host: str
    port: int


_PROBE_SENTENCES: Final[dict[Outcome, str]] = {
    Outcome.SUCCESS: "{name} succeeds, not yet often enough in a row.",
    Outcome.STATUS: "{name} answers {status}, not 2xx: correct {field}.path.",
    Outcome.REFUSED: "{name} cannot connect ({detail}): check {field}.host and {field}.port.",
    Outcome.SILENT: (
        "{name} got no answer within {timeout_s:g} s: the service accepts connections but does "
        "not answer; raise {field}.timeoutSeconds if it is slow."
    ),
    Outcome.CLOSED: "{name}: the service closed the connection without an answer.",
    Outcome.GARBAGE: (
        "{name} got an answer that is not HTTP ({detail}): the service must speak HTTP/1.1 on its "
        "port; if that is TLS, set {field}.scheme to HTTPS."
    ),
    Outcome.TLS: "{name}: the TLS handshake failed ({detail}); is {field}.scheme right?",
}
_SERVER_ERROR: Final = "{name} answers {status}: the service says that it cannot serve yet."
_FIRST_SERVER_ERROR: Final = 500


def probe_failed(kind: ProbeKind, probe: Probe, answer: Answer) -> str:
    """Why a probe does not succeed."""
    template = _PROBE_SENTENCES[answer.outcome]
    if answer.status is not None and answer.status >= _FIRST_SERVER_ERROR:
        template = _SERVER_ERROR
    return template.format(
        name=f"The {kind} probe GET {probe.path}",
        field=f"{kind}Probe",
        status=answer.status,
        detail=answer.detail,
        timeout_s=probe.timeout_s,
    )


def not_listening(listening: Collection[Listening] | None, *, port: int, elapsed_s: float) -> str:
    """Why nothing accepts connections on the replica's port.

    Args:
        listening: Where its processes listen; None: it could not be found out.
        port: Its PORT.
        elapsed_s: Time since its start.
    """
    if listening is None:
        return f"Nothing listens on PORT={port} after {elapsed_s:.0f} s."
    elsewhere = sorted({address.host for address in listening if address.port == port})
    if elsewhere:
        return (
            f"Listens on {elsewhere[0]} port {port}, which 127.0.0.1 does not reach: listen on "
            "the address in the HOST variable, or on 0.0.0.0."
        )
    others = sorted({address.port for address in listening})
    if others:
        ports = ", ".join(str(number) for number in others)
        return f"Listens on {ports}, not on PORT={port}: read the PORT environment variable."
    return (
        f"Runs for {elapsed_s:.0f} s and listens on no port yet: it must serve HTTP on PORT={port}."
    )


def exited(exit_code: int | None, *, ran_s: float, was_ready: bool) -> str:
    """How a process ended by itself.

    Args:
        exit_code: Its code; negative: the signal that ended it; None: unknown.
        ran_s: How long it ran.
        was_ready: Whether it had been ready.
    """
    when = f"after {ran_s:.1f} s" + ("" if was_ready else ", before it was ready")
    if exit_code is None:
        return f"The process ended {when}: see its log."
    if exit_code == 0:
        return (
            f"The process exited with code 0 {when}: the entrypoint must keep running and serve "
            "HTTP, not return."
        )
    if exit_code > 0:
        return f"The process exited with code {exit_code} {when}: see its log."
    if exit_code == -signal.SIGKILL:
        return (
            f"The process was killed (SIGKILL) {when}, not by Tidegate: the machine may have run "
            "out of memory."
        )
    return f"The process died of {signal_name(-exit_code)} {when}: see its log."


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; the number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def command_failed(argv: Collection[str], *, error: str, path: str) -> str:
    """The entrypoint could not be executed at all."""
    command = next(iter(argv))
    remedy = (
        f"it is looked up in PATH={path}; name it in full"
        if "/" not in command
        else "check that the file exists, is executable and has a valid interpreter line"
    )
    return f"The entrypoint {command!r} cannot be started ({error}): {remedy}."


def never_ready(timeout_s: float, why: str) -> str:
    """The replica was not ready in time."""
    return f"Not ready within {timeout_s:g} s and ended. {why}".rstrip()


def probe_gave_up(kind: ProbeKind, threshold: int, why: str) -> str:
    """A start-up or liveness probe failed too often."""
    return (
        f"The {kind} probe failed {threshold} times and the replica was restarted. {why}".rstrip()
    )


def memory_exceeded(used_bytes: int, limit_bytes: int) -> str:
    """The replica used more memory than it may."""
    return (
        f"Used {used_bytes / MIB:.0f} MiB of {limit_bytes / MIB:.0f} MiB memory "
        f"({used_bytes} of {limit_bytes} bytes) and was ended: raise its memory, or make it use "
        "less."
    )


def no_free_port(first: int, last: int) -> str:
    """No port is left for the replica."""
    return (
        f"Waits for a free port: all of {first}-{last} are in use. Widen "
        "autoscaler.replica_port_min and autoscaler.replica_port_max."
    )


def no_place() -> str:
    """What the replica was granted is not free yet."""
    return "Waits for its GPU: another replica that had it is still ending."


def gpu_gone(lost: Sequence[str], gpu_type: str | None, node: str, *, leaves: bool) -> str:
    """A running replica's GPUs are not in the inventory any more.

    Args:
        lost: Their ids.
        gpu_type: What the node calls them.
        node: Where they were.
        leaves: Whether it has to go because of that.
    """
    many = len(lost) > 1
    gone = f"GPU{'s' * many} {', '.join(lost)} ({gpu_type}) {'are' if many else 'is'} gone"
    if leaves:
        return f"{gone} from node {node}: the replica leaves."
    return (
        f"{gone} from node {node}: the replica stays as it is until there is room for another one "
        "in its place."
    )


def next_start(why: str, *, failed_starts: int, crash_limit: int, wait_s: float | None) -> str:
    """What happens after a failed start.

    Args:
        why: How the last one ended.
        failed_starts: In a row; 0: the service had been ready.
        crash_limit: Failed starts that make the proton errored.
        wait_s: Time to the next start; None: it waits for another replica of the proton.
    """
    count = f" Failed start {failed_starts} of {crash_limit}." if failed_starts else ""
    if failed_starts > crash_limit:
        count = f" {failed_starts} failed starts in a row."
    if wait_s is None:
        return f"{why}{count} Waits until another replica has started."
    return f"{why}{count} Starts again" + (f" in {wait_s:.1f} s." if wait_s > 0 else " now.")


def gave_up(why: str, *, failed_starts: int, early_ends: int) -> str:
    """The proton is errored."""
    times = (
        f"{failed_starts} failed starts in a row"
        if failed_starts
        else f"it ended {early_ends} times in a row soon after it was ready"
    )
    return f"{why} Gave up after {times}: correct the service, then stop and start the workload."
