"""An asyncio transport without a socket: it keeps what is written, and can be closed."""

import asyncio
from typing import Any


class FakeTransport(asyncio.Transport):
    """What a protocol under test writes to."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written: list[bytes] = []
        self.aborted = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """As asyncio does it: `connection_lost` comes in a later iteration of the loop."""
        if not self.aborted:
            self.aborted = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
