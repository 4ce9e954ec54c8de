"""Session affinity: where a session lives, and what moves it."""

import asyncio
import re
from pathlib import Path

import pytest

from controlplane.model.states import Desired, ReplicaPhase
from controlplane.model.traffic import Affinity, AffinityKind, Traffic
from controlplane.store.client import Store
from gateway.core.affinity import digest, rendezvous, token_of
from tests.integration.gateway import records
from tests.integration.gateway.pairs import Pair, pair
from tests.integration.gateway.records import OTHER_PROTON_ID, PROTON_ID, WORKLOAD_ID
from tests.integration.gateway.rig import Rig, request, uvloop_only
from tests.integration.gateway.scripted import SWITCHED, Script, ScriptedReplica
from tests.integration.gateway.test_tls import Secure
from tests.integration.gateway.waiting import until
from tests.integration.gateway.wire import Message, Wire

COOKIE = Affinity(kind=AffinityKind.COOKIE, name="stick")
HEADER = Affinity(kind=AffinityKind.HEADER, name="Mcp-Session-Id")


def named(*lines: str) -> Script:
    """Answer with one's own port, and more header lines."""

    async def script(wire: Wire) -> None:
        port = str(wire.writer.get_extra_info("sockname")[1])
        head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(port)}", *lines])
        while True:
            await wire.request()
            wire.send(f"{head}\r\n\r\n{port}".encode())

    return script


async def sticky(rig: Rig, rule: Affinity | None, **settings: object) -> None:
    await rig.start(**settings)
    await affinity(rig, rule)


async def affinity(rig: Rig, rule: Affinity | None) -> None:
    await rig.commit(records.workload(traffic=Traffic(affinity=rule)))


def cookie(answer: Message) -> str:
    """`name=value` of the one cookie that an answer sets."""
    line = answer.get("set-cookie")
    assert line is not None
    return line.partition(";")[0]


def of(replica: ScriptedReplica) -> str:
    """The cookie line of a session that lives on a replica."""
    return f"Cookie: a=1; stick={token_of(replica.id).decode()}"


def port(answer: Message) -> int:
    return int(answer.body)


# ---- by cookie


async def test_the_first_answer_binds_a_browser_to_its_replica(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    replicas = [await rig.replica(named()) for _ in range(4)]
    first = await rig.ask()
    assert re.fullmatch(
        rf"stick=[0-9a-f]{{16}}; Path=/api/v2/endpoints/workloads/{WORKLOAD_ID};"
        r" HttpOnly; SameSite=Lax",
        first.get("set-cookie") or "",
    )
    home = next(replica for replica in replicas if replica.port == port(first))
    for _ in range(12):
        answer = await rig.ask("GET", "/x", f"Cookie: theme=dark; {cookie(first)}")
        assert (port(answer), answer.get("set-cookie")) == (home.port, None)
    assert home.wires[0].received.count(b"Cookie: theme=dark; stick=") > 0, "goes on as it came"


async def test_browsers_without_a_cookie_are_spread(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    replicas = [await rig.replica() for _ in range(3)]
    for _ in range(18):
        (await rig.client()).send(request())
    await rig.counted(in_flight=18)
    await until(lambda: all(len(replica.wires) >= 2 for replica in replicas))


async def test_a_lifetime_is_renewed_by_every_answer(rig: Rig) -> None:
    await sticky(rig, Affinity(kind=AffinityKind.COOKIE, name="stick", ttl_s=90.0))
    replica = await rig.replica(named())
    for lines in ([], [of(replica)]):
        assert "; Max-Age=90; " in ((await rig.ask("GET", "/", *lines)).get("set-cookie") or "")


async def test_a_deployments_cookie_is_for_its_own_url(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    await rig.commit(records.deployment())
    await rig.replica(named())
    client = await rig.client()
    url = f"/deployments/{records.DEPLOYMENT_ID}"
    client.send(request().replace(f"/workloads/{WORKLOAD_ID}".encode(), url.encode()))
    assert f"Path=/api/v2/endpoints{url};" in ((await client.answer()).get("set-cookie") or "")


@pytest.mark.parametrize("end", ["draining", "unready", "gone"])
async def test_a_session_whose_replica_leaves_moves_on_and_stays_there(rig: Rig, end: str) -> None:
    await sticky(rig, COOKIE)
    home, other = await rig.replica(named()), await rig.replica(named())
    assert port(await rig.ask("GET", "/", of(home))) == home.port
    if end == "gone":
        await rig.gone(home)
    else:
        await rig.phase(home, ReplicaPhase(end))
    moved = await rig.ask("GET", "/", of(home))
    assert (port(moved), cookie(moved)) == (other.port, of(other).rpartition(" ")[2])
    await rig.announce(home)
    again = await rig.ask("GET", "/", f"Cookie: {cookie(moved)}")
    assert (port(again), again.get("set-cookie")) == (other.port, None)


@pytest.mark.parametrize("value", ["", "0123456789abcdef", "x", "%00", '"', "a" * 2000])
async def test_a_made_up_cookie_harms_nobody(rig: Rig, value: str) -> None:
    await sticky(rig, COOKIE)
    replica = await rig.replica(named())
    answer = await rig.ask("GET", "/", f"Cookie: stick={value}")
    assert (answer.status, cookie(answer)) == (200, of(replica).rpartition(" ")[2])


async def test_a_session_waits_for_its_own_replica_while_others_pass(rig: Rig) -> None:
    await sticky(rig, COOKIE, limit=1)
    home = await rig.replica()
    busy = await rig.client()
    busy.send(request("GET", "/busy", of(home)))
    wire = await home.accepted()
    await wire.request()
    other = await rig.replica(named())
    waiting = await rig.client()
    waiting.send(request("GET", "/waiting", of(home)))
    await rig.counted(in_flight=1, queued=1)
    assert port(await rig.ask("GET", "/passes")) == other.port
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await wire.request()).head.target == "/waiting"
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await waiting.answer()).get("set-cookie") is None
    await rig.counted(started=3, in_flight=0, queued=0, finished={"2xx": 3})


async def test_who_waits_for_a_replica_that_goes_is_served_by_another(rig: Rig) -> None:
    await sticky(rig, COOKIE, limit=1)
    home = await rig.replica()
    busy = await rig.client()
    busy.send(request("GET", "/busy", of(home)))
    await (await home.accepted()).request()
    other = await rig.replica(named())
    waiting = [await rig.client() for _ in range(3)]
    for n, client in enumerate(waiting):
        client.send(request("GET", "/", of(home)))
        await rig.counted(queued=n + 1)
    await rig.phase(home, ReplicaPhase.DRAINING)
    for client in waiting:
        answer = await client.answer()
        assert (port(answer), cookie(answer)) == (other.port, of(other).rpartition(" ")[2])
    await rig.counted(in_flight=1, queued=0)


async def test_who_waits_for_an_address_that_has_changed_is_not_sent_to_the_old_one(
    rig: Rig,
) -> None:
    await sticky(rig, COOKIE, limit=1)
    home = await rig.replica()
    busy = await rig.client()
    busy.send(request("GET", "/busy", of(home)))
    wire = await home.accepted()
    await wire.request()
    waiting = await rig.client()
    waiting.send(request("GET", "/", of(home)))
    await rig.counted(queued=1)
    moved = await rig.listen(named())
    await rig.commit(records.replica(home.id, moved.port))
    answer = await waiting.answer()
    assert (port(answer), answer.get("set-cookie")) == (moved.port, None)
    assert len(home.wires) == 1


async def test_a_cookie_that_came_over_tls_goes_over_tls_only(rig: Rig, tmp_path: Path) -> None:
    secure = Secure(rig, tmp_path)
    await secure.start()
    await affinity(rig, COOKIE)
    await rig.replica(named())
    client = await secure.client()
    client.send(request())
    assert ((await client.answer()).get("set-cookie") or "").endswith("; SameSite=Lax; Secure")
    client.close()


async def test_sessions_and_others_take_turns_for_a_replica(rig: Rig) -> None:
    await sticky(rig, COOKIE, limit=1)
    home = await rig.replica()
    busy = await rig.client()
    busy.send(request("GET", "/busy"))
    wire = await home.accepted()
    await wire.request()
    for n in range(3):
        for path, lines in ((f"/session/{n}", [of(home)]), (f"/other/{n}", [])):
            (await rig.client()).send(request("GET", path, *lines))
            await rig.counted(in_flight=1, started=2 + 2 * n + (1 if lines == [] else 0))
    targets = []
    for _ in range(6):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        targets.append((await wire.request()).head.target)
    assert [t for t in targets if "session" in t] == [f"/session/{n}" for n in range(3)]
    kinds = [target.split("/")[1] for target in targets]
    assert kinds in (["session", "other"] * 3, ["other", "session"] * 3)


async def test_those_who_wait_for_a_replica_hear_that_the_workload_was_stopped(rig: Rig) -> None:
    await sticky(rig, COOKIE, limit=1)
    home = await rig.replica()
    for n in range(2):
        client = await rig.client()
        client.send(request("GET", "/", of(home)))
        await rig.counted(started=n + 1)
    await rig.commit(records.proton(limit=1, desired=Desired.STOPPED))
    assert (await client.answer()).get("x-tidegate-error") == "workload_stopped"


async def test_a_repeat_goes_to_the_sessions_replica_again(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    home = await rig.replica()
    await rig.replica(named())
    client = await rig.client()
    client.send(request("GET", "/", of(home)))
    first = await home.accepted()
    await first.request()
    first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await client.answer()).status == 200
    client.send(request("GET", "/again", of(home)))
    await first.request()
    first.reset()  # a kept connection broke: nothing is said about the replica
    second = await home.accepted()
    assert (await second.request()).head.target == "/again"
    second.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await client.answer()).get("set-cookie") is None


async def test_a_websocket_handshake_binds_too(rig: Rig) -> None:
    await sticky(rig, COOKIE)

    async def switching(wire: Wire) -> None:
        await wire.head()
        wire.send(SWITCHED + b"first bytes")
        await wire.rest()

    replica = await rig.replica(switching)
    client = await rig.client()
    client.send(request("GET", "/", "Connection: Upgrade", "Upgrade: my-protocol"))
    head = await client.head()
    assert head.status == 101
    assert (head.get("set-cookie") or "").startswith(of(replica).rpartition(" ")[2])
    assert await client.exactly(11) == b"first bytes"


# ---- against pins and weights


async def two_protons(rig: Rig, **weights: int) -> tuple[ScriptedReplica, ScriptedReplica]:
    """A replica of each of two protons."""
    await split(rig, **weights)
    return (
        await rig.replica(named()),
        await rig.replica(named(), proton_id=OTHER_PROTON_ID),
    )


async def split(rig: Rig, *, active: int, candidate: int) -> None:
    await rig.commit(
        records.proton(weight=active), records.proton(OTHER_PROTON_ID, weight=candidate)
    )


async def test_a_pin_counts_more_than_a_session(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    active, candidate = await two_protons(rig, active=100, candidate=0)
    pinned = await rig.ask("GET", f"/?protonId={OTHER_PROTON_ID}", of(active))
    assert port(pinned) == candidate.port
    again = await rig.ask("GET", f"/?protonId={OTHER_PROTON_ID}", of(candidate))
    assert (port(again), again.get("set-cookie")) == (candidate.port, None)


async def test_a_session_counts_more_than_weights_until_its_protons_is_0(rig: Rig) -> None:
    await sticky(rig, COOKIE)
    active, candidate = await two_protons(rig, active=99, candidate=1)
    for _ in range(8):
        assert port(await rig.ask("GET", "/", of(candidate))) == candidate.port
    await split(rig, active=100, candidate=0)
    assert port(await rig.ask("GET", "/", of(candidate))) == active.port


# ---- by header


async def test_a_session_that_the_application_names_stays_where_it_was_named(rig: Rig) -> None:
    await sticky(rig, HEADER)
    replicas = [await rig.replica(named("Mcp-Session-Id: s-1")) for _ in range(4)]
    opened = await rig.ask("POST", "/mcp", body=b"initialize")
    home = next(replica for replica in replicas if replica.port == port(opened))
    session = opened.get("mcp-session-id")
    assert session == f"s-1!tg{token_of(home.id).decode()}"
    for _ in range(12):
        answer = await rig.ask("POST", "/mcp", f"mcp-session-id:  {session} ", body=b"call")
        assert (port(answer), answer.get("mcp-session-id")) == (home.port, session)
    heard = b"".join(wire.received for wire in home.wires)
    assert b"\r\nmcp-session-id:  s-1\r\n" in heard, "the replica sees the name that it gave"
    assert b"!tg" not in heard
    assert opened.get("set-cookie") is None


async def test_a_named_session_whose_replica_is_gone_goes_on_elsewhere(rig: Rig) -> None:
    await sticky(rig, HEADER)
    home, other = await rig.replica(named()), await rig.replica(named("Mcp-Session-Id: s"))
    await rig.gone(home)
    line = f"Mcp-Session-Id: s!tg{token_of(home.id).decode()}"
    answer = await rig.ask("GET", "/", line)
    assert port(answer) == other.port, "what the application makes of it is its own"
    assert answer.get("mcp-session-id") == f"s!tg{token_of(other.id).decode()}"


async def test_sessions_that_clients_name_stay_when_replicas_are_added(rig: Rig) -> None:
    await sticky(rig, HEADER)
    for _ in range(2):
        await rig.replica(named())
    lines = [f"Mcp-Session-Id: user {n}" for n in range(30)]
    before = [port(await rig.ask("GET", "/", line)) for line in lines]
    assert len(set(before)) == 2
    for _ in range(2):
        await rig.replica(named())
    assert [port(await rig.ask("GET", "/", line)) for line in lines] == before


async def test_a_name_that_the_client_made_up_comes_back_as_it_was(rig: Rig) -> None:
    await sticky(rig, HEADER)
    replica = await rig.replica(named("Mcp-Session-Id: mine"))
    echoed = await rig.ask("GET", "/", "Mcp-Session-Id: mine")
    assert echoed.get("mcp-session-id") == "mine"
    renamed = await rig.ask("GET", "/", "Mcp-Session-Id: other")
    assert renamed.get("mcp-session-id") == f"mine!tg{token_of(replica.id).decode()}"


async def test_where_a_name_that_a_client_made_up_lands_follows_from_the_name_alone(
    rig: Rig,
) -> None:
    """So every worker chooses alike, also one that has just started."""
    await sticky(rig, HEADER)
    replicas = [await rig.replica(named()) for _ in range(3)]
    ports = {token_of(replica.id): replica.port for replica in replicas}
    for n in range(12):
        home = rendezvous(digest(b"name %d" % n), list(ports))
        assert home is not None
        assert port(await rig.ask("GET", "/", f"Mcp-Session-Id: name {n}")) == ports[home]


async def test_a_session_may_begin_before_there_is_a_replica(rig: Rig) -> None:
    await sticky(rig, HEADER)
    clients = [await rig.client() for _ in range(3)]
    for client in clients:
        client.send(request("GET", "/", "Mcp-Session-Id: early"))
    await rig.counted(queued=3)
    home = await rig.replica(named())
    for client in clients:
        assert port(await client.answer()) == home.port
    for _ in range(3):
        await rig.replica(named())
    assert port(await rig.ask("GET", "/", "Mcp-Session-Id: early")) == home.port


# ---- live, and with real workers


async def test_affinity_is_switched_on_changed_and_off_while_the_gateway_runs(rig: Rig) -> None:
    await rig.start()
    replica = await rig.replica(named("Mcp-Session-Id: s"))
    plain = await rig.ask()
    assert (plain.get("set-cookie"), plain.get("mcp-session-id")) == (None, "s")
    await affinity(rig, COOKIE)
    assert cookie(await rig.ask()) == of(replica).rpartition(" ")[2]
    await affinity(rig, HEADER)
    answer = await rig.ask()
    assert answer.get("set-cookie") is None
    assert (answer.get("mcp-session-id") or "").startswith("s!tg")
    await affinity(rig, None)
    plain = await rig.ask("GET", "/", of(replica))
    assert (plain.get("set-cookie"), plain.get("mcp-session-id")) == (None, "s")


@uvloop_only
@pytest.mark.parametrize("rule", [COOKIE, HEADER], ids=["cookie", "header"])
async def test_no_session_moves_while_replicas_are_added_under_load(
    store: Store, store_url: str, tmp_path: Path, rule: Affinity
) -> None:
    """Two worker processes on one port, a new connection for every request."""
    async with pair(store, store_url, tmp_path) as workers:
        await spread_under_load(workers, rule)


async def spread_under_load(workers: Pair, rule: Affinity) -> None:
    rig = workers.rig
    moved: list[str] = []
    answered = 0
    done = asyncio.Event()

    async def session(number: int) -> None:
        nonlocal answered
        opened = await rig.ask()
        home, lines = port(opened), []
        if rule.kind is AffinityKind.COOKIE:
            lines = [f"Cookie: {cookie(opened)}"]
        else:
            lines = [f"Mcp-Session-Id: {opened.get('mcp-session-id')}"]
        while not done.is_set():
            answer = await rig.ask("GET", "/", *lines)
            answered += 1
            if answer.status != 200 or port(answer) != home:
                moved.append(f"session {number} moved: {answer}")

    async def added(count: int) -> None:
        await rig.replica(named("Mcp-Session-Id: s"))
        await workers.both(lambda metrics: metrics["gateway_endpoints{ready}"] == count)

    await affinity(rig, rule)
    for count in range(1, 3):
        await added(count)
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(session(number))
        for count in range(3, 7):
            await added(count)
            seen = answered
            await until(lambda seen=seen: answered > seen + 40)
        done.set()
    assert moved == []
    await workers.both(lambda metrics: metrics["gateway_requests_started_total"] > 0)


async def test_a_pinned_protons_sessions_need_no_weight(rig: Rig) -> None:
    await sticky(rig, HEADER)
    await split(rig, active=100, candidate=0)
    homes = [await rig.replica(named(), proton_id=OTHER_PROTON_ID) for _ in range(3)]
    await rig.replica(named(), proton_id=PROTON_ID)
    lines = (f"/?protonId={OTHER_PROTON_ID}", "Mcp-Session-Id: p")
    found = {port(await rig.ask("GET", *lines)) for _ in range(9)}
    assert len(found) == 1
    assert found <= {home.port for home in homes}
