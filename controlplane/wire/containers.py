"""Containers of an artifact: probes, environment, images, ports."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from controlplane.model.artifacts import Container, ContainerGroup, Probe, Resources
from controlplane.wire.base import (
    Count,
    Flag,
    Input,
    Integer,
    Number,
    Seconds,
    Shape,
    broken_rule,
    maybe,
    whole,
)
from controlplane.wire.environment import (
    EnvironmentVar,
    EnvironmentVars,
    Text,
    variable_model,
    variable_shape,
)
from controlplane.wire.sizes import ByteSize

DEFAULT_PROBE_PORT: Final = 8080
"""The contract's; used where the container itself names no port."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 section 5.6.2."""

ImageUri = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[!-~]+$")]
"""Visible ASCII: what registries accept, and no room for tricks in command lines and logs."""
_PART: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~!$&'()+,=:@-]+")
"""Of a path that can be read in one way only."""

Port = Annotated[Integer, Field(ge=1024, le=65535)]


def _header(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("not a header's name")
    return name


def _header_value(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a header's value is printable ASCII in one line")
    return value


class ProbeShape(Shape):
    """A health check; success is a 2xx answer."""

    path: str
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = Field(
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

    path: Text
    http_headers: dict[
        Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_header_value)]
    ] = Field(default_factory=dict)

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


class Capabilities(Input):
    """Linux capabilities to add and drop."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SeccompProfile(Input):
    """System call filter; `localhostProfile` goes with `Localhost`, and only with that."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_profile: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.type == "Localhost") != (self.localhost_profile is not None):
            raise broken_rule(
                "localhostProfile goes with type Localhost, and only with that", "localhostProfile"
            )
        return self


class SecurityContext(Input):
    """What the contract lets owners say about a container's privileges."""

    allow_privilege_escalation: Flag | None = None
    capabilities: Capabilities | None = None
    read_only_root_filesystem: Flag | None = None
    seccomp_profile: SeccompProfile | None = None


def _plain_path(path: str) -> str:
    parts = path.strip("/").split("/")
    if parts != [""] and not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(
            "must be a plain path, such as /open or /a/b: it covers what is below it, and one with"
            " patterns, escapes, `.`, `..` or empty parts would never match"
        )
    return path


class Route(Input):
    """A publicly exposed path."""

    path: Annotated[str, Field(max_length=1024), AfterValidator(_plain_path)]
    auth: Literal["required", "optional", "disabled"] = "required"


class ResourceRequest(Input):
    """v2.41: resources of a container, stated in the artifact."""

    cpu: Annotated[Number, Field(ge=0, le=1_000_000)]
    memory: ByteSize
    gpu: Annotated[Integer, Field(ge=0, le=1_000_000)] | None = None
    gpu_type: str | None = None


class CodeVersion(Input):
    """Which files an image is made of."""

    catalog_id: str
    catalog_version_id: str | None = None


class CodeRef(Input):
    """Where an image's source is."""

    datarobot: CodeVersion | None = None
    provider: str = "datarobot"
    type: str = "datarobot"


class ProvidedDockerfile(Input):
    """The source has a Dockerfile of its own."""

    source: Literal["provided"] = "provided"
    path: str = "./Dockerfile"


class GeneratedDockerfile(Input):
    """The Dockerfile is made from an execution environment."""

    source: Literal["generated"]
    execution_environment_id: str | None = None
    execution_environment_version_id: str | None = None
    entrypoint: list[Text]


class ImageBuildConfig(Input):
    """How an image is built from source. Kept with the draft; no image is built here."""

    code_ref: CodeRef | None = None
    dockerfile: ProvidedDockerfile | GeneratedDockerfile | None = Field(
        None, discriminator="source"
    )


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
    image_build_config: ImageBuildConfig | None = None
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
            image_build_config=maybe(container.image_build_config, ImageBuildConfig.model_validate),
            entrypoint=maybe(container.entrypoint, list),
            environment_vars=tuple(variable_shape(v) for v in container.environment),
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
    primary: Flag | None = None
    port: Port | None = None
    image_uri: ImageUri | None = None
    entrypoint: list[Text] | None = None
    environment_vars: EnvironmentVars = ()
    readiness_probe: ProbeInput | None = None
    liveness_probe: ProbeInput | None = None
    startup_probe: ProbeInput | None = None
    security_context: SecurityContext | None = None
    image_build_config: ImageBuildConfig | None = None
    build: dict[str, Any] | None = Field(None, description="Set by servers; ignored here.")
    routes: Annotated[list[Route], Field(max_length=50)] | None = None
    resource_request: ResourceRequest | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.image_uri is None and self.image_build_config is None:
            raise broken_rule("imageUri is required, or imageBuildConfig", "imageUri")
        if self.entrypoint is not None and not (self.entrypoint and self.entrypoint[0]):
            raise broken_rule(
                "entrypoint needs at least a program; leave it out to have none", "entrypoint"
            )
        return self

    def to_model(self, *, primary: bool) -> Container:
        """The record's form; `primary` as the whole spec decides it."""
        return Container(
            name=self.name,
            description=self.description,
            primary=primary,
            port=self.port,
            image_uri=self.image_uri,
            image_build_config=maybe(
                self.image_build_config,
                lambda c: c.model_dump(mode="json", by_alias=True, exclude_none=True),
            ),
            entrypoint=maybe(self.entrypoint, tuple),
            environment=tuple(variable_model(v) for v in self.environment_vars),
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
            raise broken_rule(
                f"exactly one container must be primary, not {sum(primaries)}", "containers"
            )
        names: set[str] = set()
        for index, container in enumerate(self.containers):
            primary, shown = primaries[index], container.name or container.image_uri
            if primary and container.port is None:
                why = f"the primary container ({shown}) needs a port"
                raise broken_rule(why, "containers", index, "port")
            if not primary and container.port is not None:
                why = f"only the primary container may name a port, not {shown}"
                raise broken_rule(why, "containers", index, "port")
            if not primary and container.routes:
                why = f"only the primary container may name routes, not {shown}"
                raise broken_rule(why, "containers", index, "routes")
            if container.name in names:
                why = f"container names must differ, and {shown} comes twice"
                raise broken_rule(why, "containers", index, "name")
            if container.name is not None:
                names.add(container.name)
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
