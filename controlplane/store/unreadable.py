"""Values in the store that cannot be read: counted each time, and logged once each.

They come about by another version, another program or a person. Whoever meets one goes on without
it: it must not keep a process from all the others.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from controlplane.store.errors import WrongTypeError
from controlplane.store.wrong_type import wrong_type

MAX_TOLD: Final = 1000
"""Places that are remembered as told; of more the log says nothing, they are only counted."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Unreadable:
    """What one process could not read in its store."""

    def __init__(self) -> None:
        self.count = 0
        """How often such a value was met; one that nobody replaces counts at every look."""
        self._told: set[str] = set()

    def without(
        self, values: Iterable[bytes], decoder: msgspec.json.Decoder[T], place: str
    ) -> Iterator[T]:
        """Those of some values that can be decoded.

        Args:
            values: As they are stored.
            decoder: Of what they should be.
            place: Where they all are; see `tell`.
        """
        for value in values:
            try:
                found = decoder.decode(value)
            except ValueError as exc:
                self.tell(place, exc)
            else:
                yield found

    def tell_key(self, key: str, exc: WrongTypeError | None = None) -> None:
        """Count a key that holds another type of value, and log it once.

        Args:
            key: Its whole name.
            exc: What is known of it; None: no more than that.
        """
        self.tell(f"key {key}", exc or wrong_type(key))

    def tell(self, place: str, exc: ValueError | WrongTypeError, **extra: str) -> None:
        """Count one, and log it if its place was not logged yet.

        Args:
            place: Where it is: a few words that are the same at every look.
            exc: Why it cannot be read: msgspec's errors, and of what is no UTF-8; or its key holds
                another type of value.
            extra: More for the log line.
        """
        self.count += 1
        if place not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(place)
            logger.error(
                "a value in the store cannot be read: it does not count",
                extra={"place": place, "error": str(exc), **extra},
            )
