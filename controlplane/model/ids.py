"""24-hex identifiers in the shape of MongoDB's ObjectId, which the contract's clients check."""

import re
from typing import Final

OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")


def object_id(*, now_s: float, machine: bytes, counter: int) -> str:
    """Compose an id: 4 bytes of time, 5 of the process's randomness, 3 of a counter."""
    return f"{int(now_s) & 0xFFFFFFFF:08x}{machine[:5].hex()}{counter & 0xFFFFFF:06x}"


def is_object_id(text: str) -> bool:
    """Whether `text` is 24 lower-case hexadecimal digits."""
    return OBJECT_ID.fullmatch(text) is not None
