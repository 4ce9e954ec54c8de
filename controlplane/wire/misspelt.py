"""Which field a client meant by one that nobody knows. Looked for once a body was refused."""

import typing
from collections.abc import Iterable, Sequence

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from controlplane.model.words import did_you_mean

Model = type[BaseModel]

UNKNOWN: typing.Final = "extra_forbidden"
"""What pydantic calls the error."""


def meant(annotations: Iterable[object], way: Sequence[str | int]) -> str:
    """The end of a sentence about an unknown field; "" where no known one is like it.

    Args:
        annotations: Of what was sent: shapes, or unions and lists of them.
        way: From there to the field, as in pydantic's errors; it names branches of unions, too.
    """
    models = {model for annotation in annotations for model in _models(annotation)}
    *way_there, field = way
    for part in way_there:
        models = _below(models, str(part)) or _branches(models, str(part)) or models
    return did_you_mean(str(field), sorted({a for m in models for a, _ in _aliases(m)}))


def _below(models: set[Model], name: str) -> set[Model]:
    """The shapes that a field of some shapes holds."""
    return {
        model
        for holder in models
        for alias, field in _aliases(holder)
        if alias == name
        for model in _models(field.annotation)
    }


def _branches(models: set[Model], tag: str) -> set[Model]:
    """Those of a union's shapes that a tag, or a shape's own name, stands for."""
    return {
        model
        for model in models
        if model.__name__ == tag
        or any(tag in typing.get_args(f.annotation) for f in model.model_fields.values())
    }


def _models(annotation: object) -> set[Model]:
    """All shapes in an annotation, through unions, lists and what is only annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in typing.get_args(annotation) for model in _models(part)}


def _aliases(model: Model) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in model.model_fields.items()]
