"""Fixtures for all tests; the tests themselves live in the packages below."""

from tests.fakes.valkey import store, store_url, valkey_server

__all__ = ["store", "store_url", "valkey_server"]
