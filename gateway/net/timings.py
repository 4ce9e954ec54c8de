"""What an answer says about its own making: Server-Timing, and whether it was a cold start."""

from typing import TYPE_CHECKING

from controlplane.model.sections import GatewaySettings

if TYPE_CHECKING:
    from gateway.net.flow import Exchange


class Timings:
    """Header lines for responses, by setting.

        queue     from the request's arrival to a replica's slot
        cold      the same, when no replica was ready: the cold start
        gateway   from the slot to the first byte sent: connecting, and tries that failed
        upstream  from the first byte sent to the replica to its response head

    Server-Timing is W3C's (https://www.w3.org/TR/server-timing/), in milliseconds; browsers
    show it.
    """

    __slots__ = ("_cold_start", "_server_timing")

    def __init__(self, settings: GatewaySettings) -> None:
        self._server_timing = settings.server_timing
        self._cold_start = settings.cold_start_header.encode()

    def lines(self, exchange: "Exchange", now_s: float) -> bytes:
        """Whole lines, each with its CRLF, for a response whose head has just come."""
        lines = b""
        if self._server_timing:
            waited_s = exchange.waited_s
            lines = b"Server-Timing: %b;dur=%.2f, gateway;dur=%.2f, upstream;dur=%.2f\r\n" % (
                b"cold" if exchange.cold else b"queue",
                1000 * waited_s,
                1000 * max(exchange.sent_s - exchange.started_s - waited_s, 0.0),
                1000 * (now_s - exchange.sent_s),
            )
        if self._cold_start:
            lines += b"%b: %b\r\n" % (self._cold_start, b"true" if exchange.cold else b"false")
        return lines
