"""What all shapes have in common: camelCase outside, snake_case inside, times, numbers, errors."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

T = TypeVar("T")
U = TypeVar("U")

NAME_MAX: Final = 5000
"""Longest name the contract allows, characters."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return value


def _number(value: object) -> object:
    """One error about the field, where pydantic would have one for each kind of number."""
    _no_flag(value)
    try:
        finite = math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise PydanticCustomError("number_type", "Input should be a valid number") from None
    except OverflowError:
        finite = False
    if not finite:
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    return value


Number = Annotated[int | float, BeforeValidator(_number)]
"""A JSON number that keeps its look: 30 stays 30, never 30.0, which Go's integers refuse."""

Integer = Annotated[int, BeforeValidator(_no_flag)]
"""A whole number in a body: true and false are mistakes."""

Flag = Annotated[bool, Field(strict=True)]
"""true or false in a body: 0 and "no" are mistakes."""

Count = Annotated[Integer, Field(ge=1, le=1_000_000)]
"""A number of replicas, requests or failures."""

Seconds = Annotated[Number, Field(ge=0, le=86_400)]
"""A duration; fractions are an extension of ours."""


class Shape(BaseModel):
    """One JSON object of an answer."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class Input(BaseModel):
    """Mixed into a shape that clients send: unknown fields are refused, names are camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        allow_inf_nan=False,
        # No body is longer. With any limit pydantic looks at the characters, and refuses halves of
        # surrogate pairs, which no record and no answer can carry.
        str_max_length=1024 * 1024,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class ErrorShape(Shape):
    """Every error but 422: one sentence."""

    detail: str


def timestamp(at: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with microseconds and zone, as the contract shows it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def maybe_timestamp(at: float | None) -> str | None:
    """As `timestamp`; None stays None."""
    return None if at is None else timestamp(at)


def whole(value: float) -> Number:
    """An integer where the value is one, so that JSON shows 30 and not 30.0."""
    return int(value) if value == int(value) else value


def maybe(value: T | None, convert: Callable[[T], U]) -> U | None:
    """`convert(value)`, or None for None."""
    return None if value is None else convert(value)


def broken_rule(message: str, *at: str | int) -> PydanticCustomError:
    """A 422 entry for a rule between fields.

    Args:
        message: What is wrong and what to do.
        at: The way from the checked object to the field that is to blame, in the client's names;
            `place_of` adds it to the entry's `loc`.
    """
    return PydanticCustomError("value_error", "{reason}", {"reason": message, "at": list(at)})


def place_of(error: Mapping[str, Any]) -> tuple[str | int, ...]:
    """The way to the field that one of pydantic's errors is about.

    Pydantic names what holds the field where a rule is between fields (`broken_rule` says which),
    and where a field says which branch of a union something is, and says it wrong or not at all.
    """
    context = error.get("ctx", {})
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return (*error["loc"], context["discriminator"].strip("'"))
    return (*error["loc"], *context.get("at", ()))
