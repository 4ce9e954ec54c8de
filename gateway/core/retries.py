"""May a request be sent again after its replica was lost? RFC 9110 section 9.2.2.

what reached the replica   method           body kept   answer
-------------------------  ---------------  ----------  ------
nothing                    any              any         again
something                  idempotent       yes         again
something                  idempotent       no          fail: we no longer have the body
something                  not idempotent   any         fail: it may have been acted on
(any, attempts used up)                                 fail
"""

from enum import StrEnum
from typing import Final

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Verdict(StrEnum):
    """Again, or the code of the gateway's answer."""

    AGAIN = "again"
    UNREACHABLE = "replica_unreachable"
    RESET = "replica_reset"


def after_loss(
    *, method: bytes, touched: bool, body_kept: bool, attempts: int, max_attempts: int
) -> Verdict:
    """Judge a lost replica before any response byte went to the client.

    Args:
        method: As on the request line.
        touched: Whether any byte of the request may have reached the application.
        body_kept: Whether the whole body is still here (true without a body).
        attempts: Tries so far, this one included.
        max_attempts: The setting.
    """
    fail = Verdict.RESET if touched else Verdict.UNREACHABLE
    if attempts >= max_attempts:
        return fail
    if not touched:
        return Verdict.AGAIN
    return Verdict.AGAIN if method in IDEMPOTENT and body_kept else fail
