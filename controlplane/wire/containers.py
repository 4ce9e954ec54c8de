"""Containers of an artifact: probes, environment, images, ports."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from controlplane.model.artifacts import Container, ContainerGroup, EnvVar, Probe, Resources
from controlplane.wire.base import Count, Input, Number, Seconds, Shape, broken_rule, maybe, whole
from controlplane.wire.sizes import ByteSize

DEFAULT_PROBE_PORT: Final = 8080
"""The contract's; used where the container itself names no port."""

RESERVED_VARIABLES: Final = "TIDEGATE_REPLICA_"
"""Variables by which the platform finds its own replicas again; owners may not set them."""


def _variable_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("an environment variable's name is not empty and has no '=' or NUL")
    if name.startswith(RESERVED_VARIABLES):
        raise ValueError(f"names that start with {RESERVED_VARIABLES} belong to the platform")
    return name


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    return value


VariableName = Annotated[str, AfterValidator(_variable_name)]
Text = Annotated[str, AfterValidator(_no_nul)]
Port = Annotated[int, Field(ge=1024, le=65535)]


class ProbeShape(Shape):
    """A health check; success is a 2xx answer."""

    path: str
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Omitted: the container's own port."
    )
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: str | None = None
    http_headers: dict[str, str] = Field(default_factory=dict)
    initial_delay_seconds: Seconds = 30
    period_seconds: Annotated[Seconds, Field(gt=0)] = 30
    timeout_seconds: Annotated[Seconds, Field(gt=0)] = 30
    failure_threshold: Count = 3
    success_threshold: Count = 1

    @classmethod
    def of(cls, probe: Probe, *, container_port: int | None) -> Self:
        """The answer's form of a probe."""
        return cls(
            path=probe.path,
            port=probe.port or container_port or DEFAULT_PROBE_PORT,
            scheme="HTTPS" if probe.scheme == "HTTPS" else "HTTP",
            host=probe.host,
            http_headers=probe.http_headers,
            initial_delay_seconds=whole(probe.initial_delay_s),
            period_seconds=whole(probe.period_s),
            timeout_seconds=whole(probe.timeout_s),
            failure_threshold=probe.failure_threshold,
            success_threshold=probe.success_threshold,
        )


class ProbeInput(Input, ProbeShape):
    """A health check as clients send it."""

    def to_model(self) -> Probe:
        """The record's form."""
        return Probe(
            path=self.path if self.path.startswith("/") else f"/{self.path}",
            port=self.port,
            scheme=self.scheme,
            host=self.host,
            http_headers=self.http_headers,
            initial_delay_s=self.initial_delay_seconds,
            period_s=self.period_seconds,
            timeout_s=self.timeout_seconds,
            failure_threshold=self.failure_threshold,
            success_threshold=self.success_threshold,
        )


class StringVar(Input):
    """An environment variable with a plain value."""

    source: Literal["string"] = "string"
    name: VariableName
    value: Text


class CredentialVar(Input):
    """A value from a stored credential."""

    source: Literal["dr-credential"]
    name: VariableName
    dr_credential_id: str
    key: str


class ApiKeyVar(Input):
    """An API token of the platform; the default name is DATAROBOT_API_TOKEN."""

    source: Literal["api-key"]
    name: VariableName | None = None


def _source(value: Any) -> str:  # noqa: ANN401 - whatever the client sent
    if isinstance(value, dict):
        return str(value.get("source", "string"))
    return str(getattr(value, "source", "string"))


EnvironmentVar = Annotated[
    Annotated[StringVar, Tag("string")]
    | Annotated[CredentialVar, Tag("dr-credential")]
    | Annotated[ApiKeyVar, Tag("api-key")],
    Discriminator(_source),
]


class Capabilities(Input):
    """Linux capabilities to add and drop."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SeccompProfile(Input):
    """System call filter."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_profile: str | None = None


class SecurityContext(Input):
    """What the contract lets owners say about a container's privileges."""

    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    read_only_root_filesystem: bool | None = None
    seccomp_profile: SeccompProfile | None = None


class Route(Input):
    """A publicly exposed path."""

    path: Annotated[str, Field(max_length=1024)]
    auth: Literal["required", "optional", "disabled"] = "required"


class ResourceRequest(Input):
    """v2.41: resources of a container, stated in the artifact."""

    cpu: Annotated[Number, Field(ge=0, le=1_000_000)]
    memory: ByteSize
    gpu: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    gpu_type: str | None = None


class ContainerShape(Shape):
    """One container of an answer."""

    name: str | None = None
    description: str = ""
    primary: bool = False
    port: int | None = None
    image_uri: str | None = None
    entrypoint: list[str] | None = None
    environment_vars: tuple[EnvironmentVar, ...] = ()
    readiness_probe: ProbeShape | None = None
    liveness_probe: ProbeShape | None = None
    startup_probe: ProbeShape | None = None
    security_context: dict[str, Any] | None = None
    image_build_config: None = None
    build: None = None
    routes: list[Route] | None = None
    resource_request: ResourceRequest | None = None

    @classmethod
    def of(cls, container: Container) -> Self:
        """The answer's form of a container."""

        def probe(value: Probe | None) -> ProbeShape | None:
            return maybe(value, lambda p: ProbeShape.of(p, container_port=container.port))

        return cls(
            name=container.name,
            description=container.description,
            primary=container.primary,
            port=container.port,
            image_uri=container.image_uri,
            entrypoint=maybe(container.entrypoint, list),
            environment_vars=tuple(_variable_shape(v) for v in container.environment),
            readiness_probe=probe(container.readiness_probe),
            liveness_probe=probe(container.liveness_probe),
            startup_probe=probe(container.startup_probe),
            security_context=container.security_context,
            routes=maybe(container.routes, lambda rs: [Route.model_validate(r) for r in rs]),
            resource_request=maybe(container.resources, _resource_request),
        )


class ContainerInput(Input):
    """One container as clients send it."""

    name: str | None = None
    description: str = ""
    primary: bool | None = None
    port: Port | None = None
    image_uri: Annotated[str, Field(min_length=1)] | None = None
    entrypoint: list[Text] | None = None
    environment_vars: tuple[EnvironmentVar, ...] = ()
    readiness_probe: ProbeInput | None = None
    liveness_probe: ProbeInput | None = None
    startup_probe: ProbeInput | None = None
    security_context: SecurityContext | None = None
    image_build_config: dict[str, Any] | None = None
    build: dict[str, Any] | None = Field(None, description="Set by servers; ignored here.")
    routes: Annotated[list[Route], Field(max_length=50)] | None = None
    resource_request: ResourceRequest | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.image_build_config is not None:
            raise broken_rule(
                "images are not built here: leave imageBuildConfig out, give imageUri"
            )
        if self.image_uri is None:
            raise broken_rule("imageUri is required")
        if self.entrypoint is not None and not (self.entrypoint and self.entrypoint[0]):
            raise broken_rule("entrypoint needs at least a program; leave it out to have none")
        return self

    def to_model(self, *, primary: bool) -> Container:
        """The record's form; `primary` as the whole spec decides it."""
        return Container(
            name=self.name,
            description=self.description,
            primary=primary,
            port=self.port,
            image_uri=self.image_uri,
            entrypoint=maybe(self.entrypoint, tuple),
            environment=tuple(_variable(v) for v in self.environment_vars),
            readiness_probe=maybe(self.readiness_probe, ProbeInput.to_model),
            liveness_probe=maybe(self.liveness_probe, ProbeInput.to_model),
            startup_probe=maybe(self.startup_probe, ProbeInput.to_model),
            security_context=maybe(
                self.security_context, lambda c: c.model_dump(mode="json", exclude_none=True)
            ),
            resources=maybe(self.resource_request, _resources),
            routes=maybe(self.routes, lambda rs: tuple(r.model_dump(mode="json") for r in rs)),
        )


class ContainerGroupShape(Shape):
    """Containers that share a replica, in an answer."""

    name: str
    containers: list[ContainerShape]

    @classmethod
    def of(cls, group: ContainerGroup) -> Self:
        """The answer's form of a group."""
        return cls(name=group.name, containers=[ContainerShape.of(c) for c in group.containers])


class ContainerGroupInput(Input):
    """Containers that share a replica, as clients send them."""

    name: Annotated[str, Field(min_length=1)] = "default"
    containers: tuple[ContainerInput, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        primaries = self._primaries()
        if self.containers and sum(primaries) != 1:
            raise broken_rule(f"exactly one container must be primary, not {sum(primaries)}")
        for container, primary in zip(self.containers, primaries, strict=True):
            shown = container.name or container.image_uri
            if primary and container.port is None:
                raise broken_rule(f"the primary container ({shown}) needs a port")
            if not primary and container.port is not None:
                raise broken_rule(f"only the primary container may name a port, not {shown}")
            if not primary and container.routes:
                raise broken_rule(f"only the primary container may name routes, not {shown}")
        names = [c.name for c in self.containers if c.name is not None]
        if len(set(names)) != len(names):
            raise broken_rule("container names must differ")
        return self

    def _primaries(self) -> list[bool]:
        if len(self.containers) == 1 and self.containers[0].primary is None:
            return [True]
        return [container.primary is True for container in self.containers]

    def to_model(self) -> ContainerGroup:
        """The record's form."""
        pairs = zip(self.containers, self._primaries(), strict=True)
        return ContainerGroup(
            name=self.name, containers=tuple(c.to_model(primary=p) for c, p in pairs)
        )


def _variable(variable: StringVar | CredentialVar | ApiKeyVar) -> EnvVar:
    if isinstance(variable, StringVar):
        return EnvVar(name=variable.name, value=variable.value)
    if isinstance(variable, ApiKeyVar):
        return EnvVar(source=variable.source, name=variable.name or "DATAROBOT_API_TOKEN")
    return EnvVar(
        source=variable.source,
        name=variable.name,
        credential_id=variable.dr_credential_id,
        key=variable.key,
    )


def _variable_shape(variable: EnvVar) -> StringVar | CredentialVar | ApiKeyVar:
    if variable.source == "string":
        return StringVar.model_validate({"name": variable.name, "value": variable.value})
    if variable.source == "api-key":
        return ApiKeyVar.model_validate({"source": "api-key", "name": variable.name})
    return CredentialVar.model_validate(
        {
            "source": "dr-credential",
            "name": variable.name,
            "drCredentialId": variable.credential_id,
            "key": variable.key,
        }
    )


def _resources(request: ResourceRequest) -> Resources:
    return Resources(
        cpu=request.cpu,
        memory_bytes=request.memory,
        gpu=request.gpu,
        gpu_type=request.gpu_type,
    )


def _resource_request(resources: Resources) -> ResourceRequest:
    return ResourceRequest.model_validate(
        {
            "cpu": whole(resources.cpu or 0),
            "memory": resources.memory_bytes or 0,
            "gpu": maybe(resources.gpu, int),
            "gpuType": resources.gpu_type,
        }
    )
