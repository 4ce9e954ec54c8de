"""Who may use which credentials, what environments refer to, and plans for the records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from controlplane.lifecycle.plans import (
    ForbiddenError,
    Held,
    Plan,
    Remove,
    Save,
    Stamp,
    StateError,
    UnfitError,
)
from controlplane.model.artifacts import Artifact, ArtifactSpec
from controlplane.model.credentials import API_KEY, CREDENTIAL, TYPES
from controlplane.model.people import Credential, User
from controlplane.model.workloads import Proton, Workload


class Problem(NamedTuple):
    """One thing that is wrong with a body."""

    at: tuple[str | int, ...]
    """The way to the field, in the client's names."""
    message: str
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialContent:
    """What an owner says about a new credential."""

    name: str
    description: str = ""
    type: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialEdit:
    """A partial change; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    values: Mapping[str, str] | None = None
    """All of them, as they will be."""


Seal = Callable[[str, Mapping[str, str]], str]
"""Encrypts values for the credential of an id."""


def check_values(credential_type: str, names: Iterable[str]) -> list[Problem]:
    """What is wrong with the values of a credential: those that are missing, and strangers."""
    known = TYPES[credential_type]
    given = set(names)
    return [
        Problem((name,), f"a credential of type {credential_type} needs {name}", missing=True)
        for name in known.required
        if name not in given
    ] + [
        Problem(
            (name,),
            f"a credential of type {credential_type} has no {name}; it has {', '.join(known.all)}",
        )
        for name in sorted(given - set(known.all))
    ]


def create_credential(content: CredentialContent, *, seal: Seal, stamp: Stamp) -> Plan[Credential]:
    """A new credential of the caller's; its values pass `check_values`."""
    credential_id = stamp.new_id()
    credential = Credential(
        id=credential_id,
        name=content.name,
        description=content.description,
        type=content.type,
        keys=_in_order(content.type, content.values),
        sealed=seal(credential_id, content.values),
        user_id=stamp.actor_id,
        created_at=stamp.now_s,
        updated_at=stamp.now_s,
    )
    return Plan(subject=credential, writes=(Save(record=credential, expected=0),))


def edit_credential(
    held: Held[Credential], edit: CredentialEdit, *, seal: Seal, stamp: Stamp
) -> Plan[Credential]:
    """Another name, description or other values. Replicas that run keep the values they have."""
    credential, version = held
    changes: dict[str, object] = {
        name: value
        for name in ("name", "description")
        if (value := getattr(edit, name)) not in {None, getattr(credential, name)}
    }
    if edit.values is not None:
        changes["keys"] = _in_order(credential.type, edit.values)
        changes["sealed"] = seal(credential.id, edit.values)
    if not changes:
        return Plan(subject=credential)
    edited = msgspec.structs.replace(credential, **changes, updated_at=stamp.now_s)
    return Plan(subject=edited, writes=(Save(record=edited, expected=version),))


def delete_credential(
    held: Held[Credential],
    *,
    artifacts: Iterable[Artifact],
    workloads: Sequence[Workload],
    protons: Iterable[Proton],
) -> Plan[Credential]:
    """Delete a credential, values and all.

    Args:
        held: The credential.
        artifacts: All that were not deleted.
        workloads: All that were not deleted.
        protons: All.

    Raises:
        StateError: A draft or a workload needs it; all of them are named. A locked artifact that
            no workload runs does not hold it: it can be neither changed nor deleted.
    """
    credential, version = held
    naming = {a.id: a for a in artifacts if credential.id in credential_ids(a.spec)}
    running = {p.workload_id for p in protons if credential.id in credential_ids(p.spec)}
    used_by = [w for w in workloads if w.artifact_id in naming or w.id in running]
    drafts = [artifact for artifact in naming.values() if artifact.status == "draft"]
    if used_by or drafts:
        raise StateError(
            f"Credential {credential.id} is in use by {_named('artifact', drafts)}"
            f"{' and ' if used_by and drafts else ''}{_named('workload', used_by)}:"
            " take it out of their environment, or delete them, first."
        )
    return Plan(
        subject=credential,
        writes=(Remove(kind=Credential, id=credential.id, expected=version),),
    )


def may_use(user: User, credential: Credential) -> bool:
    """Whether somebody may see a credential and refer to it: its owner and admins."""
    return user.admin or credential.user_id == user.id


def require(user: User, credential: Credential) -> None:
    """That somebody may.

    Raises:
        ForbiddenError: It is somebody else's.
    """
    if not may_use(user, credential):
        raise ForbiddenError(f"Credential {credential.id} belongs to somebody else.")


def credential_ids(spec: ArtifactSpec) -> set[str]:
    """The credentials that an environment refers to."""
    return {
        variable.credential_id
        for group in spec.container_groups
        for container in group.containers
        for variable in container.environment
        if variable.credential_id is not None
    }


def wants_api_key(spec: ArtifactSpec) -> bool:
    """Whether a container asks for a token of the workload's own."""
    return any(
        variable.source == API_KEY
        for group in spec.container_groups
        for container in group.containers
        for variable in container.environment
    )


def check_references(
    spec: ArtifactSpec, *, user: User, find: Callable[[str], Credential | None]
) -> list[Problem]:
    """What is wrong with the credentials that a new spec refers to.

    Whoever writes a spec decides what its containers do with the values, so the credentials must
    be theirs. Running it is free to everybody with a role on it.
    """
    problems = []
    for g, group in enumerate(spec.container_groups):
        for c, container in enumerate(group.containers):
            for v, variable in enumerate(container.environment):
                if variable.source != CREDENTIAL:
                    continue
                at = ("containerGroups", g, "containers", c, "environmentVars", v)
                found = find(variable.credential_id or "")
                if found is None or not may_use(user, found):
                    told = f"you have no credential {variable.credential_id}"
                    problems.append(Problem((*at, "drCredentialId"), told))
                elif variable.key not in found.keys:
                    told = (
                        f"credential {found.id} is of type {found.type} and has no value"
                        f" {variable.key!r}; it has {', '.join(found.keys)}"
                    )
                    problems.append(Problem((*at, "key"), told))
    return problems


def check_present(spec: ArtifactSpec, find: Callable[[str], Credential | None]) -> None:
    """That the credentials of what shall run are there.

    Raises:
        UnfitError: Some are not, or lack a value; the variables are named.
    """
    lacking = [
        f"{variable.name} ({variable.key} of credential {variable.credential_id})"
        for group in spec.container_groups
        for container in group.containers
        for variable in container.environment
        if variable.source == CREDENTIAL
        and variable.key not in _keys(find(variable.credential_id or ""))
    ]
    if lacking:
        raise UnfitError(
            f"These variables need credentials that are not there: {', '.join(lacking)}."
        )


def _keys(credential: Credential | None) -> tuple[str, ...]:
    return () if credential is None else credential.keys


def _in_order(credential_type: str, values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in TYPES[credential_type].all if name in values)


def _named(kind: str, records: Sequence[Artifact | Workload]) -> str:
    if not records:
        return ""
    plural = "s" if len(records) > 1 else ""
    return f"{kind}{plural} {', '.join(sorted(record.id for record in records))}"
