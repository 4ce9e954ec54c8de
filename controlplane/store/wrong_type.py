"""Which of some keys holds another type of value than belongs there, and what to do about it."""

from collections.abc import Sequence

from controlplane.store.connection import Connection
from controlplane.store.errors import WrongTypeError
from controlplane.store.scripts import TYPES


def type_of(key: str) -> str | None:
    """The type of what belongs into a key, in the words of TYPE; None: the key is none of ours."""
    return TYPES.get(key.rpartition("}:")[2].partition(":")[0])


def wrong_type(key: str, held: str | None = None) -> WrongTypeError:
    """The error about one key.

    Args:
        key: Its whole name.
        held: The type of what it holds, likewise; None: nobody has asked.
    """
    what = f"a {held}" if held else "another type of value"
    return WrongTypeError(
        f"the store's key {key} holds {what} where a {type_of(key)} belongs: another program or a"
        f" person wrote it. Put the key back from a backup, or delete it: UNLINK {key}"
    )


async def named(connection: Connection, keys: Sequence[str], exc: WrongTypeError) -> WrongTypeError:
    """The error that names the key, for a reply that does not; `exc` where none is found.

    Args:
        connection: Where the reply came from.
        keys: All that the command was about.
        exc: The reply.
    """
    for key in keys:
        held = (await connection.send("TYPE", key)).decode()
        if held not in {"none", type_of(key)}:
            return wrong_type(key, held)
    return exc
