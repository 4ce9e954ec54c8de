"""Open streams on their way from the gateways' reports to the decisions and the victims."""

from controlplane.model.reports import OpenStreams
from controlplane.model.states import ReplicaPhase
from controlplane.store.client import Store
from tests.fakes.gateway_worker import FakeGatewayWorker
from tests.integration.autoscaler.conftest import Launch, make_proton, until, until_stored

OLD = OpenStreams(open=1, silent_s=7200.0, client="10.0.0.7", protocol="websocket")


async def test_a_decision_names_the_websocket_that_keeps_a_replica(launch: Launch, store: Store):
    proton = make_proton(("httpRequestsConcurrency", 5))
    await store.put(proton)
    running = await launch()
    await running.leading()
    async with FakeGatewayWorker(store) as gateway:
        await gateway.wake(proton.id)
        await until(lambda: running.reconciler.ready(proton.id) == 1)
        (replica,) = running.reconciler.replicas()
        assert replica.phase is ReplicaPhase.READY
        gateway.load(proton.id, in_flight=1)
        gateway.endpoints, gateway.streams = {replica.id: 1}, {replica.id: OLD}
        await until(lambda: running.reconciler.streams == {replica.id: OLD})
        gateway.load(proton.id, in_flight=6)  # a change of the count, so that there is a record

        async def named() -> bool:
            decisions = await running.decisions(proton)
            return any(
                "held up by 1 WebSocket, silent for 2 h, from 10.0.0.7" in decision.next
                and decision.inputs["streams"] == 1
                for decision in decisions
            )

        await until_stored(named)
