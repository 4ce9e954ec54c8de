"""Faults in what is only tried out: shadows and forecasts must not stop what acts.

fault                                     then
----------------------------------------  ---------------------------------------------------
of the trial: numbers or records that it  this trial of this proton says nothing this time;
cannot take (`FAULTS`)                    counted, and logged once per cause
of the process: memory, operating         goes on to whoever decides: nothing else would
system, store, event loop                 work, either
"""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from controlplane.model.shadows import ShadowKind

FAULTS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a computation raises over something that it cannot take."""

logger = logging.getLogger(__name__)


class Trials:
    """Lets trials fail alone."""

    def __init__(self, count: Callable[[ShadowKind], None]) -> None:
        """Begin without a fault.

        Args:
            count: Called for each.
        """
        self._count = count
        self._told: set[tuple[ShadowKind, str]] = set()
        """Causes: the trial, the kind of the fault, and the line that it came from."""

    @contextmanager
    def alone(self, kind: ShadowKind, proton_id: str) -> Iterator[None]:
        """What fails in here ends here.

        Args:
            kind: What is tried out.
            proton_id: Of which proton.
        """
        try:
            yield
        except FAULTS as exc:
            self._count(kind)
            *_, last = traceback.extract_tb(exc.__traceback__)
            cause = (kind, f"{type(exc).__name__} at {last.filename}:{last.lineno}")
            if cause not in self._told:
                self._told.add(cause)
                logger.exception(
                    "a trial fails, what acts goes on; this is not said again",
                    extra={"trial": kind.value, "proton_id": proton_id, "cause": cause[1]},
                )
