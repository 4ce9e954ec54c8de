"""Open streams: requests that do not end by themselves, and hold replicas up.

A WebSocket counts as load for as long as it is open, whether it says anything or not: a proton with
one never goes to zero, and a replica with one is not idle. That is right, and a riddle to whoever
looks at a count that does not fall; so the record names what holds it.
"""

from collections.abc import Iterable
from typing import Final

from controlplane.model.reports import ACTIVE_S, OpenStreams, WorkerNumbers

NO_STREAMS: Final = OpenStreams(open=0)

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def together(parts: Iterable[OpenStreams]) -> OpenStreams:
    """Several counts as one; the longest silence wins, and says whose it is."""
    found = list(parts)
    if not found:
        return NO_STREAMS
    if len(found) == 1:
        return found[0]
    longest = max(found, key=lambda part: part.silent_s)
    protocols = {part.protocol for part in found}
    return OpenStreams(
        open=sum(part.open for part in found),
        active=sum(part.active for part in found),
        silent_s=longest.silent_s,
        client=longest.client,
        protocol=longest.protocol if len(protocols) == 1 else "",
    )


def by_replica(reports: Iterable[WorkerNumbers]) -> dict[str, OpenStreams]:
    """Replica id to its open tunnels over several workers."""
    parts: dict[str, list[OpenStreams]] = {}
    for report in reports:
        for replica_id, streams in report.streams.items():
            parts.setdefault(replica_id, []).append(streams)
    return {replica_id: together(found) for replica_id, found in parts.items()}


def in_words(streams: OpenStreams) -> str:
    """`1 WebSocket, silent for 2 h, from 10.0.0.7`; empty without any."""
    if not streams.open:
        return ""
    kind = "WebSocket" if streams.protocol == "websocket" else "tunnel"
    said = f"{streams.open} {kind}{'' if streams.open == 1 else 's'}"
    if streams.silent_s > ACTIVE_S:
        which = "" if streams.open == 1 else "the longest "
        said += f", {which}silent for {duration(streams.silent_s)}"
    elif streams.open > 1:
        return f"{said}, all active"
    return f"{said}, from {streams.client}" if streams.client else said


def duration(seconds: float) -> str:
    """A time span in its largest whole unit: `12 s`, `5 min`, `2 h`, `3 d`."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {unit}"
    return f"{int(seconds)} s"
