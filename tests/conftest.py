"""Fixtures for all tests; the tests themselves live in the packages below."""

import os

if os.environ.get("TIDEGATE_GATEWAY_NATIVE") == "required":
    # The same tests over the compiled hot path: before anything imports the interpreted one.
    from gateway import native

    if not native.activate():
        raise RuntimeError("nothing is compiled from these sources: python -m gateway.build")

from tests.fakes.valkey import store, store_url, valkey_server

__all__ = ["store", "store_url", "valkey_server"]
