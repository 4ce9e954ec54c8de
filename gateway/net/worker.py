"""What all connections of one worker share."""

import os
import random
import time
from collections import Counter
from itertools import count

from controlplane.model.sections import GatewaySettings
from gateway.net.access_log import AccessLog
from gateway.net.heads import Heads


class Worker:
    """One gateway process: settings, counters of its own, and its identity in reports."""

    __slots__ = (
        "_ids",
        "_seed",
        "access_log",
        "answers",
        "clients",
        "draining",
        "exchanges",
        "heads",
        "id",
        "monotonic",
        "random",
        "settings",
        "wall",
    )

    def __init__(self, settings: GatewaySettings, *, worker_id: str, access_log: AccessLog) -> None:
        self.id = worker_id
        self.settings = settings
        self.heads = Heads(max_headers=settings.max_headers)
        self.access_log = access_log
        self.monotonic = time.monotonic
        self.wall = time.time
        self.random = random.random
        self.draining = False
        self.clients: set[object] = set()
        """Open client connections."""
        self.exchanges = 0
        """Live exchanges."""
        self.answers: Counter[str] = Counter()
        """Answers made by the gateway itself, by code."""
        # 64 random bits per process and a counter: unique, and 20 times cheaper than uuid4
        self._seed = os.urandom(8).hex().encode()
        self._ids = count(1)

    def new_trace(self) -> bytes:
        """32 hexadecimal digits: a request id and a W3C trace id in one."""
        return b"%b%016x" % (self._seed, next(self._ids))
