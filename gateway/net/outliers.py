"""Endpoints that fail are left alone for a while: `core.health`'s table, with a clock."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.health import Health, Sign, after_sign, eject_for_s

if TYPE_CHECKING:
    from gateway.net.endpoints import Endpoint, ProtonRoute


class Outliers:
    """Takes notice of what happens on endpoints, ejects them and lets them back."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        eject_s: float,
        on_return: "Callable[[ProtonRoute], None]",
    ) -> None:
        """Begin.

        Args:
            loop: Times the ejections.
            eject_s: How long the first one lasts.
            on_return: Called with the proton of an endpoint that takes requests again.
        """
        self._loop = loop
        self._eject_s = eject_s
        self._on_return = on_return

    def notice(self, endpoint: "Endpoint | None", sign: Sign) -> None:
        """Something happened on an endpoint. None: it was not known any more."""
        if endpoint is None or not endpoint.routable:
            return
        before = endpoint.health
        endpoint.health, endpoint.strikes = after_sign(
            before, sign, strikes=endpoint.strikes, alone=len(endpoint.proton.ready) == 1
        )
        if endpoint.health is Health.READY:
            endpoint.failures = 0
        elif endpoint.health is Health.EJECTED and before is not Health.EJECTED:
            endpoint.failures += 1
            delay_s = eject_for_s(endpoint.failures, base_s=self._eject_s)
            self._loop.call_later(delay_s, self._time_over, endpoint, endpoint.failures)
        endpoint.troubled = endpoint.health is not Health.READY or endpoint.strikes > 0
        if endpoint.health is not before:
            endpoint.settle()
            endpoint.proton.refresh()
            if endpoint.health is not Health.EJECTED:
                self._on_return(endpoint.proton)

    def _time_over(self, endpoint: "Endpoint", failures: int) -> None:
        if endpoint.failures == failures:  # else it was forgiven, and perhaps ejected anew
            self.notice(endpoint, Sign.TIME_OVER)
