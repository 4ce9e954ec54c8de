"""Replicas that speak TLS, on both event loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Probe
from tests.fakes.certificates import Authority
from tests.integration.gateway import records
from tests.integration.gateway.rig import Rig, request
from tests.integration.gateway.scripted import OK, SWITCHED, Script, ScriptedReplica, answering
from tests.integration.gateway.wire import Wire

PROBE = Probe(path="/healthz", scheme="HTTPS")
SPEC = ArtifactSpec(
    container_groups=(
        ContainerGroup(
            containers=(Container(name="c", primary=True, port=80, readiness_probe=PROBE),)
        ),
    )
)


class SecureReplica(ScriptedReplica):
    """A replica whose port speaks TLS."""

    def __init__(self, script: Script | None, context: ssl.SSLContext) -> None:
        super().__init__(script)
        self._context = context

    async def start(self, *, port: int = 0, receive_bytes: int | None = None) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", port, ssl=self._context, limit=1024 * 1024
        )
        self.port = self._server.sockets[0].getsockname()[1]


class World:
    """A workload whose replicas speak TLS."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig = rig
        self.authority = Authority()
        self.ca = self.authority.write(directory / "ca.pem")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = directory / "cert.pem", directory / "key.pem"
        self.authority.issue(cert, key)
        self.context.load_cert_chain(cert, key)
        self._replicas: list[SecureReplica] = []

    async def start(self, **settings: Any) -> None:
        await self.rig.start(**settings)
        await self.rig.commit(msgspec.structs.replace(records.proton(), spec=SPEC))

    async def replica(self, script: Script | None = None) -> SecureReplica:
        replica = SecureReplica(script, self.context)
        replica.id = f"65f00000000000000000ed{len(self._replicas):02x}"
        self._replicas.append(replica)
        await replica.start()
        await self.rig.announce(replica)
        return replica

    async def close(self) -> None:
        for replica in self._replicas:
            await replica.stop()


@pytest.fixture
async def world(rig: Rig, tmp_path: Path) -> AsyncIterator[World]:
    world = World(rig, tmp_path)
    yield world
    await world.close()


async def test_requests_reach_replicas_over_tls_and_connections_are_kept(world: World) -> None:
    await world.start()
    replica = await world.replica(answering(OK))
    for _ in range(3):
        assert (await world.rig.ask()).body == b"ok"
    assert len(replica.wires) == 1
    (wire,) = replica.wires
    cipher = wire.writer.get_extra_info("cipher")
    assert cipher is not None, "it is a TLS connection"
    assert b"X-Forwarded-Proto: http\r\n" in wire.received, "as the client came"


async def test_large_bodies_pass_whole_both_ways(world: World) -> None:
    await world.start()
    replica = await world.replica()
    client = await world.rig.client()
    body = bytes(range(256)) * 8_192
    client.send(request("POST", body=body))
    wire = await replica.accepted()
    assert (await wire.request()).body == body
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert (await client.answer()).body == body


async def test_an_answer_that_ends_with_its_connection_is_whole(world: World) -> None:
    await world.start()
    replica = await world.replica()
    client = await world.rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    wire.close()
    assert (await client.answer()).body == b"all of it"


async def test_a_client_that_leaves_is_told_to_the_replica(world: World) -> None:
    await world.start()
    replica = await world.replica()
    client = await world.rig.client()
    client.send(request())
    wire = await replica.accepted()
    await wire.request()
    client.reset()
    assert await wire.ended() in {"eof", "reset"}
    await world.rig.counted(started=1, finished={"aborted": 1})


@pytest.mark.parametrize("who", ["client", "replica"])
async def test_a_tunnel_ends_on_both_sides_with_either(world: World, who: str) -> None:
    await world.start()
    replica = await world.replica()
    client = await world.rig.client()
    client.send(request("GET", "/", "Connection: Upgrade", "Upgrade: my-protocol"))
    wire = await replica.accepted()
    await wire.head()
    wire.send(SWITCHED)
    await client.head()
    client.send(b"ping")
    assert await wire.exactly(4) == b"ping"
    wire.send(b"pong")
    assert await client.exactly(4) == b"pong"
    if who == "client":
        client.half_close()
    else:
        wire.close()
    assert await client.ended() in {"eof", "reset"}
    assert await wire.ended() in {"eof", "reset"}
    await world.rig.counted(started=1, in_flight=0, finished={"1xx": 1})


async def test_certificates_of_an_authority_that_is_set_are_accepted_whatever_their_name(
    world: World,
) -> None:
    await world.start(upstream_ca_file=str(world.ca))
    await world.replica(answering(OK))
    assert (await world.rig.ask()).body == b"ok"


async def test_other_certificates_are_not_then_and_the_log_says_why(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority("another").write(tmp_path / "other.pem")
    await world.start(upstream_ca_file=str(other), max_attempts=1)
    replica = await world.replica(answering(OK))
    answer = await world.rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_unreachable")
    (record,) = [record for record in caplog.records if "TLS to a replica" in record.message]
    assert vars(record)["error"] == "CERTIFICATE_VERIFY_FAILED"
    assert vars(record)["replica"] == replica.id


async def test_an_authority_that_cannot_be_read_is_told_at_the_start(world: World) -> None:
    with pytest.raises(OSError, match=r"gateway.upstream_ca_file /nowhere: No such file"):
        await world.start(upstream_ca_file="/nowhere")


async def test_a_replica_that_does_not_speak_tls_after_all_is_unreachable(world: World) -> None:
    async def plain(wire: Wire) -> None:
        await wire.reader.read(1)
        wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    await world.start(max_attempts=1)
    await world.rig.replica(plain)
    answer = await world.rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_unreachable")


async def test_a_replica_that_never_shakes_hands_is_given_up(world: World) -> None:
    await world.start(connect_timeout_s=0.2, max_attempts=1)
    replica = await world.rig.replica()
    answer = await world.rig.ask()
    assert (answer.status, answer.get("x-tidegate-error")) == (502, "replica_unreachable")
    assert await (await replica.accepted()).rest() != b"", "the handshake had begun"


async def test_what_changes_its_mind_about_tls_is_spoken_to_accordingly(world: World) -> None:
    """A new proton of a workload may speak it, or not."""
    await world.start()
    await world.replica(answering(OK))
    assert (await world.rig.ask()).body == b"ok"
    other = records.OTHER_PROTON_ID
    await world.rig.commit(records.proton(other, weight=100))
    plain = await world.rig.listen(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"))
    await world.rig.announce(plain, proton_id=other)
    assert (await world.rig.ask("GET", f"/?protonId={other}")).body == b"plain"
    assert (await world.rig.ask("GET", f"/?protonId={records.PROTON_ID}")).body == b"ok"
