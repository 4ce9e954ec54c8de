"""What can go wrong with the store, and whether trying again helps."""


class StoreError(Exception):
    """Base of all store errors."""


class ConflictError(StoreError):
    """A record is not at the version the writer expected: read it again, then decide.

    `kind`, `id` name the record; `actual` is its present version (0: it does not exist).
    """

    def __init__(self, kind: str, record_id: str, expected: int, actual: int) -> None:
        super().__init__(f"{kind} {record_id} is at version {actual}, not {expected}")
        self.kind = kind
        self.id = record_id
        self.expected = expected
        self.actual = actual


class FencedError(StoreError):
    """The writer no longer holds the lease that its write carries: it must stop writing."""


class StoreUnavailableError(StoreError):
    """The server cannot be reached or did not answer in time. Trying again may help."""


class StoreFullError(StoreError):
    """The server cannot keep the write: disk full or memory limit. Nothing was written."""


class WrongTypeError(StoreError):
    """A key holds another type of value than belongs there; the message names it and what to do.

    Another program or a person wrote it. Where one key of many is read, it is left out instead.
    """


class VolatileStoreError(StoreError):
    """An external server that keeps nothing over a restart, and nobody said that this is fine."""


class StoreSettingsError(StoreError):
    """The store's URL, password or rights are wrong; trying again does not help."""


class EmbeddedStoreError(StoreError):
    """The embedded server cannot be found or does not start; the message has its log's tail."""
