import pytest

from loadtests.overhead.application import accept_key, echo_frames, event
from loadtests.overhead.clients import MESSAGE, frame


def _answer(text):
    return bytes((0x81, len(text))) + text


@pytest.mark.parametrize("text", [b"", b"a", b"four", b"x" * 125, MESSAGE])
def test_a_message_is_echoed_unmasked(text):
    assert echo_frames(frame(text)) == ([_answer(text)], b"")


def test_frames_cut_anywhere_are_echoed_once_they_are_whole():
    sent = frame(b"one") + frame(b"and two")
    for cut in range(len(sent) + 1):
        first, rest = echo_frames(sent[:cut])
        second, left = echo_frames(rest + sent[cut:])
        assert first + second == [_answer(b"one"), _answer(b"and two")]
        assert left == b""


def test_the_handshake_is_the_rfcs_example():
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_an_event_says_when_it_was_written():
    told = event(123)
    assert told.startswith(b'data: {"at": 123, ')
    assert told.endswith(b"}\n\n")
