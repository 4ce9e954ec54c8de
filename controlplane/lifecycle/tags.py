"""Tags: words on workloads, artifacts and repositories that lists can be filtered by."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from controlplane.lifecycle.plans import Held, Plan, Save, Stamp
from controlplane.model.artifacts import Repository
from controlplane.model.kinds import Tag


def tagged(
    present: Sequence[Tag], wanted: Mapping[str, str], *, new_id: Callable[[], str]
) -> tuple[Tag, ...]:
    """The tags of a record as they will be, in the order of `wanted`; a name keeps its id.

    Args:
        present: As they are.
        wanted: Name to value: all of them.
        new_id: Makes ids of new names.
    """
    ids = {tag.name: tag.id for tag in present}
    return tuple(
        Tag(id=ids.get(name) or new_id(), name=name, value=value) for name, value in wanted.items()
    )


def tag_repository(
    held: Held[Repository], wanted: Mapping[str, str], *, stamp: Stamp
) -> Plan[Repository]:
    """Give a repository these tags and no others."""
    repository, version = held
    tags = tagged(repository.tags, wanted, new_id=stamp.new_id)
    if tags == repository.tags:
        return Plan(subject=repository)
    edited = msgspec.structs.replace(repository, tags=tags, updated_at=stamp.now_s)
    return Plan(subject=edited, writes=(Save(record=edited, expected=version),))
