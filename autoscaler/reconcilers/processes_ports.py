"""Ports for replicas: never one that another live replica has, never one that is in use."""

import socket


class PortPool:
    """Hands out TCP ports of a range, round robin, each tested by binding it.

    Round robin rather than the lowest free one: a port that has just been given back rests as
    long as possible, so that a late request for the old replica cannot reach a new one.
    """

    def __init__(self, first: int, last: int, *, offset: int = 0) -> None:
        """Prepare a pool.

        Args:
            first: First port.
            last: Last port.
            offset: Where in the range to begin. Two installations on one machine should begin
                in different places: both may find the same port free before either uses it.
        """
        self.first = first
        self.last = last
        self._next = first + offset % (last - first + 1)
        self._taken: set[int] = set()

    def take(self) -> int | None:
        """A free port, reserved until `release`; None when the whole range is in use."""
        for _ in range(self.last - self.first + 1):
            port = self._next
            self._next = self.first if port == self.last else port + 1
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        return None

    def reserve(self, port: int) -> None:
        """Count a port as taken: an adopted replica has it."""
        self._taken.add(port)

    def release(self, port: int) -> None:
        """Give a port back; harmless when it is free already."""
        self._taken.discard(port)

    @property
    def taken(self) -> frozenset[int]:
        """Ports of live replicas."""
        return frozenset(self._taken)


def _is_free(port: int) -> bool:
    """Whether a server could bind the port on any IPv4 address.

    Without SO_REUSEADDR on purpose: some servers do not set it, and then a connection in
    TIME_WAIT is enough to make their start fail.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            # Never listens: the wildcard only asks for a conflict with any address.
            probe.bind(("0.0.0.0", port))  # noqa: S104
        except OSError:
            return False
        return True
