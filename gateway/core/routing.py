"""From a request's target to a workload and the path that its replica sees."""

from typing import Final, NamedTuple

WORKLOADS: Final = b"/api/v2/endpoints/workloads/"
DEPLOYMENTS: Final = b"/api/v2/endpoints/deployments/"
_PIN: Final = b"protonId="


class Target(NamedTuple):
    """A request target taken apart. All parts are as they came, never re-encoded."""

    deployment: bool
    id: bytes
    path: bytes
    """What the replica gets: the rest of the path, with its query."""
    pin: bytes | None
    """Value of `protonId`, taken out of the query: it is ours, not the application's."""
    prefix: bytes
    """What was taken off the front of the path, without a slash at its end."""


def read_target(target: bytes) -> Target | None:
    """Take a target in origin form apart; None when it is no invoke URL."""
    deployment = False
    begin = len(WORKLOADS)
    if not target.startswith(WORKLOADS):
        if not target.startswith(DEPLOYMENTS):
            return None
        deployment = True
        begin = len(DEPLOYMENTS)
    end = target.find(b"/", begin)
    mark = target.find(b"?", begin)
    if end < 0 or 0 <= mark < end:
        end = mark if mark >= 0 else len(target)
        path = b"/" + target[end:]
    else:
        path = target[end:]
    pin = None
    if mark >= 0 and _PIN in path:
        path, pin = _take_pin(path)
    return Target(deployment, target[begin:end], path, pin, target[:end])


def _take_pin(path: bytes) -> tuple[bytes, bytes | None]:
    bare, _, query = path.partition(b"?")
    pin = None
    kept = []
    for part in query.split(b"&"):
        if part.startswith(_PIN):
            pin = part[len(_PIN) :]
        else:
            kept.append(part)
    return (bare + b"?" + b"&".join(kept) if kept else bare), pin
