"""What to start for a proton: command, environment and limits, composed without any I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controlplane.model.artifacts import Container, Resources
from controlplane.model.workloads import Proton

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Variables of the autoscaler's own environment that a replica gets. Nothing else: settings,
tokens and store addresses of the installation are none of its business."""

REPLICA_MARK: Final = "TIDEGATE_REPLICA_ID"
HOME_MARK: Final = "TIDEGATE_REPLICA_HOME"
"""Marks by which a later run recognises the replicas of this installation."""


class NothingToRunError(ValueError):
    """The proton has nothing that this installation can run; the message says what to add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a proton's replicas have in common."""

    container: Container
    argv: tuple[str, ...]
    resources: Resources
    unresolved: tuple[str, ...]
    """Environment variables whose value is a credential that this installation does not hold."""


def launch_of(proton: Proton) -> Launch:
    """What to start for a proton.

    Raises:
        NothingToRunError: No primary container, or one without an entrypoint.
    """
    container = proton.spec.primary()
    if container is None:
        raise NothingToRunError(
            "The artifact has no primary container: mark the one that listens on HTTP with "
            '"primary": true, then stop and start the workload.'
        )
    if not container.entrypoint:
        image = f" ({container.image_uri})" if container.image_uri else ""
        raise NothingToRunError(
            "The artifact's primary container has no entrypoint. This installation runs local "
            f"processes: it starts `entrypoint`, and imageUri{image} is only recorded. Add the "
            'command as a list of arguments, for example "entrypoint": ["python", "-m", '
            '"my_service"], then stop and start the workload.'
        )
    return Launch(
        container=container,
        argv=container.entrypoint,
        resources=resources_of(proton, container),
        unresolved=tuple(
            variable.name
            for variable in container.environment
            if variable.name and variable.value is None
        ),
    )


def resources_of(proton: Proton, container: Container) -> Resources:
    """The container's resources: the runtime's word for it, else the artifact's, else none."""
    for stated in proton.runtime.group().containers:
        if stated.name == container.name or (container.name is None and stated.name == "default"):
            return stated.resources
    return container.resources or Resources()


def replica_environment(
    launch: Launch,
    *,
    inherited: Mapping[str, str],
    port: int,
    host: str,
    workload_id: str,
    replica_id: str,
    home: str,
) -> dict[str, str]:
    """The whole environment of a replica's process; later lines win over earlier ones.

    `PYTHONUNBUFFERED` makes the last words of a dying Python service reach its log. `HOST` and
    `PORT` are ours: a replica on another address would be reachable around the gateway.
    """
    environment = {name: inherited[name] for name in INHERITED if name in inherited}
    environment["PYTHONUNBUFFERED"] = "1"
    for variable in launch.container.environment:
        if variable.name and variable.value is not None:
            environment[variable.name] = variable.value
    environment["PORT"] = str(port)
    environment["HOST"] = host
    environment["WORKLOAD_ID"] = workload_id
    environment[REPLICA_MARK] = replica_id
    environment[HOME_MARK] = home
    return environment
