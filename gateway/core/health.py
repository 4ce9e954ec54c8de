"""Passive health: a failing endpoint gets no requests for a while, then one at a time.

what happened                                     READY     PROBATION  EJECTED
------------------------------------------------  --------  ---------  ---------
CONNECT_FAILED  refused, or no answer in time     EJECTED   EJECTED    EJECTED
FRESH_LOST      a new connection broke unused     EJECTED   EJECTED    EJECTED
NO_ANSWER       garbage, or silence to the limit  a strike  EJECTED    EJECTED
KEPT_LOST       a kept connection broke           READY     PROBATION  EJECTED
ANSWERED        a response head, of any status    READY     READY      READY
TIME_OVER       the ejection has lasted           READY     PROBATION  PROBATION

The third strike in a row ejects. There are none for the only endpoint: one caller's bad requests
must not take a workload from all. A kept connection may break because the
replica's keep-alive ended as we wrote: that says nothing. Neither does a 5xx: it is the
application's answer, and a caller's bad input must not take its replicas away. On probation an
endpoint serves one request at a time, until one is answered. Sources: Envoy's outlier detection
(consecutive local-origin failures, growing ejection time); the half-open state of Nygard's circuit
breaker (Release It!, 2007).
"""

from enum import IntEnum
from typing import Final

MAX_EJECT_S: Final = 30.0
MAX_STRIKES: Final = 3


class Health(IntEnum):
    """What an endpoint may be given: all it can take, one request, nothing."""

    READY = 0
    PROBATION = 1
    EJECTED = 2


READY, PROBATION, EJECTED = Health
"""The members by name: cheaper than looking them up on the class."""


class Sign(IntEnum):
    """What is learnt about an endpoint in passing."""

    CONNECT_FAILED = 0
    FRESH_LOST = 1
    NO_ANSWER = 2
    KEPT_LOST = 3
    ANSWERED = 4
    TIME_OVER = 5


def after_sign(
    health: Health, sign: Sign, *, strikes: int, alone: bool = False
) -> tuple[Health, int]:
    """What an endpoint is after a sign, and its strikes in a row.

    Args:
        health: What it was.
        sign: What happened.
        strikes: NO_ANSWERs in a row so far.
        alone: It is the only endpoint that may be given anything.
    """
    if sign is Sign.ANSWERED:
        return Health.READY, 0
    if sign is Sign.KEPT_LOST or (sign is Sign.NO_ANSWER and alone):
        return health, strikes
    if sign is Sign.TIME_OVER:
        return (Health.PROBATION if health is Health.EJECTED else health), strikes
    if sign is Sign.NO_ANSWER and health is Health.READY and strikes + 1 < MAX_STRIKES:
        return Health.READY, strikes + 1
    return Health.EJECTED, 0


def eject_for_s(failures: int, *, base_s: float) -> float:
    """How long an endpoint stays out after its `failures`-th ejection in a row (1 and up).

    Doubles from `base_s` to 30 s. One failed connection is enough: connecting to a local or
    in-cluster replica does not fail by chance, and every request sent there meanwhile would need a
    retry.
    """
    factor: float = 2.0 ** min(failures - 1, 16)
    return min(base_s * factor, MAX_EJECT_S)
