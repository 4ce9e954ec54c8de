"""New 24-hex ids: the clock and the randomness that `controlplane.model.ids` must not have."""

import itertools
import os
import time

from controlplane.model.ids import object_id


class ObjectIds:
    """A source of ids that are unique over processes and ascend in time within one.

    Unique because each source draws 5 random bytes of its own and counts 16.7 million ids a
    second before the counter of 3 bytes comes round.
    """

    def __init__(self) -> None:
        self._machine = os.urandom(5)
        self._counter = itertools.count(int.from_bytes(os.urandom(3)))

    def new(self) -> str:
        """The next id: 24 lower-case hexadecimal digits."""
        return object_id(now_s=time.time(), machine=self._machine, counter=next(self._counter))
