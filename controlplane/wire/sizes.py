"""Memory sizes: integers are bytes, strings carry a unit.

Decimal units (`KB`, `MB`, `GB`, `TB`, or without the B) are powers of 1000, binary ones (`Ki`,
`MiB`, ...) powers of 1024. The contract's sources disagree about binary units; reading `Gi` as
2^30 is what everybody who writes it means.
"""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?)?B?\s*", re.IGNORECASE)
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes of a size such as `512MB`, `1.5GiB` or `1024`.

    Raises:
        ValueError: Not a number with a known unit.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write bytes, or a unit as in 512MB or 2Gi")
    number, unit = match[1], (match[2] or "").upper()
    base = 1024 if unit.endswith("I") else 1000
    return int(float(number) * base ** _POWERS[unit.removesuffix("I")])


def _bytes(value: Any) -> Any:  # noqa: ANN401 - whatever the client sent
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return parse_size(value) if isinstance(value, str) else value


ByteSize = Annotated[
    int,
    BeforeValidator(_bytes, json_schema_input_type=int | str),
    Field(
        ge=0,
        le=2**60,
        description="Bytes, or a string with a unit: `512MB` (1000-based), `2Gi` (1024).",
    ),
]
