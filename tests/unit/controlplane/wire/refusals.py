"""What a refused body says."""

import pytest
from pydantic import BaseModel, ValidationError

from controlplane.wire.base import place_of


def refused(shape: type[BaseModel], body: object) -> list[tuple[str, str]]:
    """`(dotted place, message)` of every reason why a shape refuses a body.

    The place is that of `api.errors`.
    """
    with pytest.raises(ValidationError) as caught:
        shape.model_validate(body)
    return [(".".join(map(str, place_of(e))), e["msg"]) for e in caught.value.errors()]


def refused_because(shape: type[BaseModel], body: object) -> str:
    """The one message with which a shape refuses a body."""
    reasons = refused(shape, body)
    assert len(reasons) == 1, reasons
    return reasons[0][1]
