"""Tags as clients send and see them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from controlplane.model.kinds import Tag
from controlplane.wire.base import Input, Shape, broken_rule

MAX_TAGS: Final = 50
"""Most tags of one record."""

MAX_CHARS: Final = 200
"""Longest name and longest value of a tag."""

_Text = StringConstraints(strip_whitespace=True, max_length=MAX_CHARS)


class TagInput(Input):
    """A tag; spaces around name and value are taken away."""

    id: str | None = Field(None, description="Read-only; ignored.")
    name: Annotated[str, _Text, Field(min_length=1)]
    value: Annotated[str, _Text] = ""


class TagShape(Shape):
    """A tag in an answer."""

    id: str
    name: str
    value: str


def _once(tags: list[TagInput]) -> list[TagInput]:
    seen = set()
    for number, tag in enumerate(tags):
        if tag.name in seen:
            raise broken_rule(f"a name has one value: {tag.name!r} comes twice", number, "name")
        seen.add(tag.name)
    return tags


TagsInput = Annotated[
    list[TagInput],
    Field(
        max_length=MAX_TAGS,
        description="An extension: all tags as they will be. Absent or null: as they are.",
    ),
    AfterValidator(_once),
]


class RepositoryPatch(Input):
    """Body of a repository's PATCH."""

    tags: TagsInput | None = None


def wanted_tags(tags: Sequence[TagInput] | None) -> dict[str, str] | None:
    """Name to value; None where the client says nothing."""
    return None if tags is None else {tag.name: tag.value for tag in tags}


def tag_shapes(tags: Iterable[Tag]) -> tuple[TagShape, ...]:
    """The answer's form of tags."""
    return tuple(TagShape(id=tag.id, name=tag.name, value=tag.value) for tag in tags)
