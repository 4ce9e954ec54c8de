"""The listening sockets of one worker slot: workers come and go, they stay."""

import socket

from controlplane.listening import listen_tcp


class Slot:
    """Sockets by name, which whoever serves the slot is handed.

    The kernel spreads connections over all sockets of a port that listen, also over those from
    which nobody accepts. For a moment that is what they are for; for longer, `let_go` has the
    other slots get them. (Closing is the only way: a socket of a shared port that was shut down
    does not reliably listen again.)
    """

    def __init__(self, sockets: dict[str, socket.socket]) -> None:
        self.sockets = sockets
        self._away: dict[str, tuple[str, int]] = {}
        self._closed = False

    def descriptors(self) -> dict[str, int]:
        """Name to descriptor."""
        return {name: sock.fileno() for name, sock in self.sockets.items()}

    def let_go(self) -> None:
        """Stop listening, except on what other slots share."""
        for name, sock in self.sockets.items():
            if sock.family != socket.AF_UNIX and sock.fileno() >= 0:
                self._away[name] = sock.getsockname()[:2]
                sock.close()

    def take_up(self) -> None:
        """Listen again, where that has been given up.

        Raises:
            OSError: Somebody has taken a port meanwhile, or everything is closed.
        """
        if self._closed:
            raise OSError("its sockets are closed")
        for name, (host, port) in list(self._away.items()):
            self.sockets[name] = listen_tcp(host, port, shared=name != "admin")
            del self._away[name]

    def close(self) -> None:
        """Close them all, for good."""
        self._closed = True
        for sock in self.sockets.values():
            sock.close()
