"""May a request be sent again after its replica was lost? RFC 9110 section 9.2.2.

what reached the replica   method           body kept   answer
-------------------------  ---------------  ----------  ------
nothing                    any              any         again
something                  idempotent       yes         again
something                  idempotent       no          fail: we no longer have the body
something                  not idempotent   any         fail: it may have been acted on
(any, attempts used up)                                 fail
(any, budget used up)                                   fail

The budget (as in Finagle and linkerd) keeps repeats a share of the traffic: replicas that fail
because they are overloaded must not be given every request three times.
"""

from enum import StrEnum
from typing import Final

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


WINDOW_S: Final = 10.0


class Verdict(StrEnum):
    """Again, or the code of the gateway's answer."""

    AGAIN = "again"
    UNREACHABLE = "replica_unreachable"
    RESET = "replica_reset"


def given_up(*, touched: bool) -> Verdict:
    """What the client is told: whether the application may have seen anything of the request."""
    return Verdict.RESET if touched else Verdict.UNREACHABLE


class RetryBudget:
    """How many repeats one proton's traffic may cause: a share of its requests, and a few more.

    Counted in windows of 10 s; a window's unused share does not carry over. Costs nothing until
    something fails: requests are counted anyway.
    """

    __slots__ = ("_at_least", "_began_s", "_ratio", "_spent", "_started")

    def __init__(self, *, ratio: float, at_least: int) -> None:
        """Begin.

        Args:
            ratio: Repeats per request, 0 and up.
            at_least: Repeats in a window however few requests there are: a lost replica takes
                down with it all that it was working on.
        """
        self._ratio = ratio
        self._at_least = at_least
        self._began_s = -WINDOW_S
        self._started = 0
        self._spent = 0

    def take(self, *, started: int, now_s: float) -> bool:
        """Ask for one repeat.

        Args:
            started: The proton's requests ever, repeats not counted.
            now_s: Monotonic clock.
        """
        if now_s - self._began_s >= WINDOW_S:
            self._began_s = now_s
            self._started = started
            self._spent = 0
        if self._spent >= self._at_least + self._ratio * (started - self._started):
            return False
        self._spent += 1
        return True


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
    fail = given_up(touched=touched)
    if attempts >= max_attempts:
        return fail
    if not touched:
        return Verdict.AGAIN
    return Verdict.AGAIN if method in IDEMPOTENT and body_kept else fail
