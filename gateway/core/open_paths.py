"""Paths of an application that need no token: the `routes` of its container.

The longest path that a request's path is, or is below, decides. `/a` covers `/a` and `/a/b`, never
`/ab`. Paths that are written so that an application could read them as others (escapes, `..`,
empty segments, parameters) are never open: `/open/../secret` must not need less than `/secret`.
Where several protons of a workload serve, the strictest of them decides.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

REQUIRED: Final = "required"
OPTIONAL: Final = "optional"
"""A token may be left out; one that is sent must be valid."""
DISABLED: Final = "disabled"
"""No token is looked at."""

_STRICTNESS: Final = (REQUIRED, OPTIONAL, DISABLED)

_PLAIN: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
"""A path that can be read in one way only."""

Table = tuple[tuple[bytes, str], ...]
"""Paths without a slash at the end, longest first; of equal ones the strictest."""


class OpenPaths:
    """What the paths of one workload need."""

    __slots__ = ("_tables",)

    def __init__(self, tables: tuple[Table, ...]) -> None:
        self._tables = tables

    def auth(self, path: bytes) -> str:
        """What a request needs: `required`, `optional` or `disabled`.

        Args:
            path: As the application gets it, with its query.
        """
        path = path.partition(b"?")[0]
        if _PLAIN.fullmatch(path) is None:
            return REQUIRED
        return min((_lookup(table, path) for table in self._tables), key=_STRICTNESS.index)


def open_paths(routes: Sequence[Sequence[Mapping[str, str]]]) -> OpenPaths | None:
    """What the routes of a workload's protons mean together.

    Args:
        routes: Of each proton: objects with `path` and `auth`.

    Returns:
        None where every path needs a token, as in most workloads.
    """
    tables = tuple(
        tuple(
            sorted(
                ((_prefix(route["path"]), route.get("auth", REQUIRED)) for route in of_proton),
                key=lambda entry: (-len(entry[0]), _STRICTNESS.index(entry[1])),
            )
        )
        for of_proton in routes
    )
    opens = [any(auth != REQUIRED for _, auth in table) for table in tables]
    return OpenPaths(tables) if opens and all(opens) else None


def _prefix(path: str) -> bytes:
    return b"/" + path.strip("/").encode() if path.strip("/") else b""


def _lookup(table: Table, path: bytes) -> str:
    for prefix, auth in table:
        if path == prefix or path.startswith(prefix + b"/"):
            return auth
    return REQUIRED
