"""Nearly valid heads and bodies: what is accepted, h11 reads the same; what goes on, too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.framing import FramingError
from gateway.net.heads import Heads
from tests.fuzz import fuzz_heads, messages
from tests.fuzz.mutants import mutants
from tests.integration.gateway.rig import request

REQUESTS = [*messages.REQUESTS.values(), *messages.REFUSED_HEADS.values()]
RESPONSES = [said for _, said, _ in messages.RESPONSES.values()] + [
    *messages.REFUSED_RESPONSES.values()
]
BODIES = [
    data.partition(b"\r\n\r\n")[2]
    for name, data in messages.REQUESTS.items()
    if name.startswith("chunked")
] + [body for body in messages.REFUSED_CHUNKS.values() if len(body) < 1000]


@settings(max_examples=500)
@given(data=mutants(REQUESTS))
def test_requests_mean_the_same_to_h11_before_and_after_rewriting(data):
    fuzz_heads.check_request(data)


@settings(max_examples=300)
@given(data=mutants(RESPONSES), method=st.sampled_from([b"GET", b"HEAD"]))
def test_responses_mean_the_same_to_h11_before_and_after_rewriting(data, method):
    fuzz_heads.check_response(data, method)


@settings(max_examples=500)
@given(data=mutants(BODIES), size=st.integers(1, 9))
def test_chunked_bodies_mean_the_same_to_h11_before_and_after_rewriting(data, size):
    fuzz_heads.check_chunks(data, size)


@pytest.mark.parametrize("odd", [b"\n", b"\r", b"\r\n", b"\0", b"\x0b", b"\x7f", b"\x80"])
@pytest.mark.parametrize("line", [b"X:b", b"X-DataRobot-User-Id:root", b"Host:other", b"c", b""])
def test_nothing_hides_in_a_target(odd, line):
    """llhttp takes `GET /a` + LF for a whole request line, and the version for a header's value."""
    raw = request("GET", "/a").replace(b" HTTP/1.1", odd + line + b" HTTP/1.1", 1)
    with pytest.raises(FramingError):
        Heads(max_headers=100).request(raw)
