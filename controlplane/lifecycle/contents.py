"""What an artifact may contain: images that the installation permits, privileges, its type's own.

Checked wherever a client says something about a spec (create, PUT, PATCH, clone), never at a start:
what was accepted once runs on when the lists change.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from controlplane.lifecycle.plans import ForbiddenError, RuleError, UnfitError
from controlplane.model.artifacts import ArtifactSpec, Container


class ImageError(RuleError):
    """An image that is not permitted here. One sentence and no list: clients look for it so."""

    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """Globs for image URIs; `*` and `?` match any characters, slashes too."""

    enabled: bool = False
    allowed: tuple[str, ...] = ()
    """Empty: all."""
    denied: tuple[str, ...] = ()
    """Stronger than `allowed`."""

    @classmethod
    def parse(cls, *, enabled: bool, allowed: str, denied: str) -> "ImageRules":
        """From settings: globs between commas and spaces."""
        return cls(enabled=enabled, allowed=_words(allowed), denied=_words(denied))

    def permits(self, image_uri: str) -> bool:
        """Whether an artifact may name this image."""
        if not self.enabled:
            return True
        if _any_matches(self.denied, image_uri):
            return False
        return not self.allowed or _any_matches(self.allowed, image_uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """What the caller may say in a spec."""

    images: ImageRules = ImageRules()
    privileges: bool = True
    """Loosen a container's security context: admins."""


def check_content(artifact_type: str, spec: ArtifactSpec, *, permits: Permits) -> None:
    """That a spec says nothing that its artifact, or its author, may not say.

    Raises:
        UnfitError: It says something that goes with another type of artifact.
        ImageError: An image is not permitted.
        ForbiddenError: It loosens a container's security, and the caller is no admin.
    """
    if spec.storage is not None and artifact_type != "nim":
        raise UnfitError(
            f"spec.storage goes with artifacts of type nim only, and this one is {artifact_type}."
        )
    if spec.a2a_enabled and artifact_type != "agent":
        raise UnfitError(
            "spec.a2aEnabled goes with artifacts of type agent only, and this one is"
            f" {artifact_type}."
        )
    for where, container in _containers(spec):
        image = container.image_uri
        if image is not None and not permits.images.permits(image):
            raise ImageError(f"Image URI '{image}' is not permitted on this cluster.")
        loosened = _loosened(container)
        if loosened is not None and not permits.privileges:
            raise ForbiddenError(
                f"{where}.securityContext.{loosened} loosens the container's security, which only"
                " an admin may do."
            )


def _containers(spec: ArtifactSpec) -> Iterator[tuple[str, Container]]:
    for number, group in enumerate(spec.container_groups):
        for index, container in enumerate(group.containers):
            yield f"spec.containerGroups.{number}.containers.{index}", container


def _loosened(container: Container) -> str | None:
    """Which part of a security context gives more than the platform's default; None: none."""
    context = container.security_context or {}
    if context.get("allowPrivilegeEscalation"):
        return "allowPrivilegeEscalation"
    capabilities = context.get("capabilities")
    if isinstance(capabilities, dict) and capabilities.get("add"):
        return "capabilities.add"
    profile = context.get("seccompProfile")
    if isinstance(profile, dict) and profile.get("type") == "Unconfined":
        return "seccompProfile"
    return None


def _any_matches(globs: Iterable[str], text: str) -> bool:
    return any(_pattern(glob).fullmatch(text) for glob in globs)


@lru_cache
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
