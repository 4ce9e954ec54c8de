"""Leases: one holder at a time, with a token that every write of the holder carries."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was held when it was acquired; only the server knows whether it still is."""

    name: str
    holder: str
    token: int
    """Fencing token: grows with every new holder."""

    @property
    def value(self) -> str:
        """As the server keeps it."""
        return f"{self.token} {self.holder}"
