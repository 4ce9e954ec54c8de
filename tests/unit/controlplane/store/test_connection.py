"""Replies find their commands, whatever happens to the callers."""

import asyncio
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.store import connection as module
from controlplane.store.connection import CHECK_INTERVAL_S, Connection
from controlplane.store.errors import StoreError, StoreSettingsError, StoreUnavailableError
from controlplane.store.replies import ConnectionLostError, OverloadError
from tests.fakes.transport import FakeTransport
from tests.fakes.virtual_time import run_virtual


def connect(
    messages: list[tuple[str, bytes]] | None = None, *, reply_timeout_s: float = 5.0
) -> tuple[Connection, FakeTransport]:
    heard = messages if messages is not None else []
    connection = Connection(
        on_message=lambda channel, payload: heard.append((channel, payload)),
        reply_timeout_s=reply_timeout_s,
    )
    return connection, FakeTransport(connection)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_commands_of_one_iteration_leave_in_one_write():
    async def scenario():
        connection, transport = connect()
        connection.send("GET", "a")
        connection.send("GET", b"b")
        await settle()
        assert transport.written == [
            b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
        ]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        pytest.param(b"+OK\r\n", b"OK", id="simple-string"),
        pytest.param(b":12\r\n", 12, id="number"),
        pytest.param(b"$3\r\na\r\n\r\n", b"a\r\n", id="bulk-string-with-a-line-break"),
        pytest.param(b"_\r\n", None, id="null"),
        pytest.param(b"*2\r\n$1\r\na\r\n:1\r\n", [b"a", 1], id="array"),
        pytest.param(b"%1\r\n$1\r\na\r\n$1\r\nb\r\n", {b"a": b"b"}, id="map"),
        pytest.param(b"*0\r\n", [], id="empty-array"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000], ids=["byte-by-byte", "in-twos", "whole"])
def test_replies_are_understood_however_they_are_cut(wire, expected, size):
    async def scenario():
        connection, _ = connect()
        first, second = connection.send("A"), connection.send("B")
        data = wire + b"+after\r\n"
        for at in range(0, len(data), size):
            connection.data_received(data[at : at + size])
        assert await first == expected
        assert await second == b"after"

    run_virtual(scenario())


@given(cancelled=st.sets(st.integers(0, 49)), cut=st.randoms())
def test_i1_replies_keep_their_order_whoever_is_cancelled(cancelled, cut):
    async def scenario():
        connection, _ = connect()
        futures = [connection.send("ECHO", number) for number in range(50)]
        data = b"".join(b":%d\r\n" % number for number in range(50))
        while data:
            for number in list(cancelled):
                if cut.random() < 0.2:
                    futures[number].cancel()
            size = cut.randint(1, 40)
            connection.data_received(data[:size])
            data = data[size:]
        for number, future in enumerate(futures):
            if not future.cancelled():
                assert await future == number

    run_virtual(scenario())


def test_i1_messages_between_replies_do_not_count_as_replies():
    async def scenario():
        heard: list[tuple[str, bytes]] = []
        connection, _ = connect(heard)
        first, second = connection.send("A"), connection.send("B")
        push = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        connection.data_received(push + b":1\r\n" + push + b":2\r\n" + push)
        assert [await first, await second] == [1, 2]
        assert heard == [("news", b"hi")] * 3

    run_virtual(scenario())


def test_i2_every_pending_command_fails_when_the_connection_ends():
    async def scenario():
        connection, _ = connect()
        futures = [connection.send("A") for _ in range(5)]
        futures[2].cancel()
        connection.connection_lost(OSError("reset by peer"))
        for number, future in enumerate(futures):
            if number != 2:
                with pytest.raises(ConnectionLostError, match="reset by peer"):
                    await future
        assert connection.lost.done()

    run_virtual(scenario())


def test_i2_a_command_after_the_end_fails_at_once_with_the_reason():
    async def scenario():
        connection, transport = connect()
        connection.abort("we are leaving")
        with pytest.raises(ConnectionLostError, match="we are leaving"):
            await connection.send("A")
        await settle()
        assert connection.lost.done()
        assert transport.written == []
        connection.connection_lost(None)  # a second end changes nothing

    run_virtual(scenario())


def test_i3_a_missing_reply_ends_the_connection():
    async def scenario():
        connection, _ = connect(reply_timeout_s=5.0)
        answered, silent = connection.send("A"), connection.send("B")
        await asyncio.sleep(1)
        connection.data_received(b":1\r\n")
        assert await answered == 1
        with pytest.raises(ConnectionLostError, match="did not answer within 5 s"):
            await silent
        assert asyncio.get_running_loop().time() <= 5 + 2 * CHECK_INTERVAL_S

    run_virtual(scenario())


def test_i3_an_idle_connection_stays_and_arms_no_timer():
    async def scenario():
        connection, transport = connect(reply_timeout_s=5.0)
        future = connection.send("A")
        connection.data_received(b":1\r\n")
        await future
        await asyncio.sleep(3600)
        assert connection.usable
        assert not transport.aborted
        assert connection._check is None

    run_virtual(scenario())


def test_a_steady_stream_of_answers_is_never_too_late():
    async def scenario():
        connection, _ = connect(reply_timeout_s=5.0)
        futures = [connection.send("A"), connection.send("A")]
        for number in range(30):
            await asyncio.sleep(1)
            connection.data_received(b":1\r\n")
            assert await futures[number] == 1
            futures.append(connection.send("A"))
        connection.connection_lost(None)
        for future in futures[30:]:
            with pytest.raises(ConnectionLostError):
                await future

    run_virtual(scenario())


def test_error_replies_fail_their_command_only():
    async def scenario():
        connection, _ = connect()
        bad, good = connection.send("A"), connection.send("B")
        connection.data_received(b"-ERR no such thing\r\n:1\r\n")
        with pytest.raises(StoreError, match="no such thing"):
            await bad
        assert await good == 1

    run_virtual(scenario())


def test_a_subscription_is_in_place_when_its_echo_comes_back():
    async def scenario():
        connection, transport = connect()
        future = connection.subscribe("news")
        await settle()
        assert b"SUBSCRIBE\r\n$4\r\nnews" in transport.written[0]
        connection.data_received(b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        await settle()
        assert not future.done()
        connection.data_received(b"$15\r\nsubscribed news\r\n")
        await future

    run_virtual(scenario())


def test_a_refused_subscription_fails_and_leaves_the_order_of_replies_alone():
    async def scenario():
        connection, _ = connect()
        subscription, after = connection.subscribe("news"), connection.send("A")
        connection.data_received(b"-NOPERM no channel\r\n$15\r\nsubscribed news\r\n:1\r\n")
        with pytest.raises(StoreSettingsError):
            await subscription
        assert await after == 1

    run_virtual(scenario())


def test_unsubscribing_keeps_the_order_of_replies():
    async def scenario():
        connection, _ = connect()
        ended, after = connection.unsubscribe("news"), connection.send("A")
        connection.data_received(
            b">3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n$17\r\nunsubscribed news\r\n:1\r\n"
        )
        await ended
        assert await after == 1

    run_virtual(scenario())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another-protocol"),
        pytest.param(b":1\r\n:2\r\n", id="a-reply-too-many"),
    ],
)
def test_a_server_that_talks_nonsense_is_left(data):
    async def scenario():
        connection, transport = connect()
        future = connection.send("A")
        connection.data_received(data)
        assert transport.aborted
        await connection.lost
        with pytest.raises(StoreUnavailableError) if not data.startswith(b":") else nullcontext():
            await future

    run_virtual(scenario())


def test_a_flood_is_refused_before_memory_is_gone(monkeypatch):
    monkeypatch.setattr(module, "MAX_PENDING", 3)

    async def scenario():
        connection, _ = connect()
        futures = [connection.send("A") for _ in range(4)]
        with pytest.raises(OverloadError):
            await futures[3]
        connection.data_received(b":1\r\n" * 3)
        assert await asyncio.gather(*futures[:3]) == [1, 1, 1]

    run_virtual(scenario())
