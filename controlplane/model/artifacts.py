"""What to run: containers, probes, environment, and the artifact records that hold them."""

from typing import ClassVar, Final

import msgspec

from controlplane.model.kinds import Kind, Record, Tag
from controlplane.model.states import AccessRole

DEFAULT_PROBE_PORT: Final = 8080
"""The contract's default of `ProbeConfig.port`."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A health check of a container (the contract's ProbeConfig, with its defaults)."""

    path: str
    port: int | None = None
    """Port as the artifact names it. None or the container's own port: the replica's real port."""
    scheme: str = "HTTP"
    host: str | None = None
    http_headers: dict[str, str] = {}
    initial_delay_s: float = 30
    period_s: float = 30
    timeout_s: float = 30
    failure_threshold: int = 3
    success_threshold: int = 1


class EnvVar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One environment variable. `source` is `string`, `dr-credential` or `api-key`."""

    source: str = "string"
    name: str | None = None
    value: str | None = None
    credential_id: str | None = None
    key: str | None = None


class Resources(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one container gets. None: not stated."""

    cpu: float | None = None
    """Cores, fractions allowed."""
    memory_bytes: int | None = None
    gpu: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_type: str | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One container of an artifact. Exactly one per artifact is `primary`: it gets the traffic."""

    name: str | None = None
    description: str = ""
    primary: bool = False
    port: int | None = None
    image_uri: str | None = None
    image_build_config: dict[str, object] | None = None
    """How somebody else's server would build the image: kept, never carried out here."""
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[EnvVar, ...] = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    security_context: dict[str, object] | None = None
    resources: Resources | None = None
    """Only from v2.41 bodies (`resourceRequest`); newer ones state it in the runtime."""
    routes: tuple[dict[str, str], ...] | None = None

    def speaks_tls(self) -> bool:
        """Whether its port speaks TLS: a probe of that very port says `scheme: HTTPS`.

        The contract has no other word for it, and a port speaks one or the other.
        """
        own_port = DEFAULT_PROBE_PORT if self.port is None else self.port
        probes = (self.readiness_probe, self.startup_probe, self.liveness_probe)
        return any(
            probe is not None
            and probe.scheme.upper() == "HTTPS"
            and probe.port in {None, own_port}
            and probe.host is None
            for probe in probes
        )


class ContainerGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Containers that share a pod (or a replica's working directory)."""

    name: str = "default"
    containers: tuple[Container, ...] = ()


class ArtifactSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of an artifact."""

    container_groups: tuple[ContainerGroup, ...] = ()
    storage: dict[str, object] | None = None
    a2a_enabled: bool | None = None
    template_id: str | None = None

    def speaks_tls(self) -> bool:
        """Whether invoke traffic reaches the primary container over TLS."""
        primary = self.primary()
        return primary is not None and primary.speaks_tls()

    def primary(self) -> Container | None:
        """The container that receives invoke traffic; None for an incomplete draft."""
        for group in self.container_groups:
            for container in group.containers:
                if container.primary:
                    return container
        return None


class Artifact(Record, frozen=True, kw_only=True):
    """A named, versioned spec. `status` is `draft` or `locked` (`registered` in the old API)."""

    kind: ClassVar[Kind] = Kind.ARTIFACT
    name: str
    description: str = ""
    status: str = "draft"
    type: str = "service"
    version: int | None = None
    repository_id: str | None = None
    spec: ArtifactSpec
    roles: dict[str, AccessRole] = msgspec.field(default_factory=dict)
    """As `Workload.roles`."""
    tags: tuple[Tag, ...] = ()
    creator_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None


class Repository(Record, frozen=True, kw_only=True):
    """The line of versions that an artifact belongs to; opened with its first artifact."""

    kind: ClassVar[Kind] = Kind.REPOSITORY
    name: str
    type: str = "service"
    last_version: int = 0
    roles: dict[str, AccessRole] = msgspec.field(default_factory=dict)
    """As `Workload.roles`."""
    tags: tuple[Tag, ...] = ()
    creator_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None
