"""The owner of the connection: patient with a server that is away, never hot."""

import asyncio

import pytest

from controlplane.store.address import parse_url
from controlplane.store.connection import Connection
from controlplane.store.errors import StoreUnavailableError
from controlplane.store.link import Link
from tests.fakes.virtual_time import run_virtual


class CountingLink(Link):
    """Counts how often the server is tried."""

    attempts = 0

    async def _connect(self) -> Connection:
        self.attempts += 1
        return await super()._connect()


def link_to(path) -> CountingLink:
    return CountingLink(
        parse_url(f"unix://{path}"), client_name="test", meta_key="{t}:meta", call_timeout_s=5
    )


def test_opening_gives_up_in_time_and_says_what_is_wrong(tmp_path):
    async def scenario() -> float:
        link = link_to(tmp_path / "none.sock")
        with pytest.raises(StoreUnavailableError, match=r"none.sock is away: .*No such file"):
            await link.open(timeout_s=10)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(10)


def test_i1_a_call_without_a_connection_ends_at_its_deadline(tmp_path):
    async def scenario() -> float:
        link = link_to(tmp_path / "none.sock")
        with pytest.raises(StoreUnavailableError):
            await link.call("GET", "x")
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(5)


@pytest.mark.parametrize("slams_the_door", [False, True])
def test_a_server_that_is_away_for_a_minute_is_tried_about_once_a_second(tmp_path, slams_the_door):
    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scenario() -> int:
        path = tmp_path / "x.sock"
        server = await asyncio.start_unix_server(slam, path) if slams_the_door else None
        link = link_to(path)
        with pytest.raises(StoreUnavailableError):
            await link.open(timeout_s=60)
        if server is not None:
            server.close()
        return link.attempts

    assert 60 <= run_virtual(scenario()) <= 140


def test_a_closed_link_refuses_calls(tmp_path):
    async def scenario() -> None:
        link = link_to(tmp_path / "none.sock")
        await link.close()
        with pytest.raises(StoreUnavailableError, match="closed"):
            await link.call("GET", "x")
        assert not link.available

    run_virtual(scenario())


def test_an_unforeseen_failure_is_logged_and_tried_again(tmp_path, caplog):
    class BrokenLink(CountingLink):
        async def _connect(self) -> Connection:
            self.attempts += 1
            raise ValueError("a bug")

    async def scenario() -> int:
        link = BrokenLink(
            parse_url("unix:///x.sock"), client_name="test", meta_key="m", call_timeout_s=5
        )
        with pytest.raises(StoreUnavailableError, match="a bug"):
            await link.open(timeout_s=10)
        return link.attempts

    assert run_virtual(scenario()) > 5
    assert "unforeseen" in caplog.text
