"""Fixtures for all tests; the tests themselves live in the packages below."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background deaf to SIGINT, with all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("TIDEGATE_GATEWAY_NATIVE") == "required":
    # The same tests over the compiled hot path: before anything imports the interpreted one.
    from gateway import native

    if not native.activate():
        raise RuntimeError("nothing is compiled from these sources: python -m gateway.build")

if os.environ.get("TIDEGATE_AUTOSCALER_NATIVE") == "required":
    from autoscaler import native as autoscaler_native

    if not autoscaler_native.activate():
        raise RuntimeError("nothing is compiled from these sources: python -m autoscaler.build")

from tests.fakes.valkey import store, store_url, valkey_server

__all__ = ["store", "store_url", "valkey_server"]
