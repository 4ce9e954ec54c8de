"""Around the autoscaler's own loop: a store, records and replicas that cost nothing.

Real, and measured: decoding the gateways' reports, `LoadWindows`, `Collector.observe`, `decide`,
`ScaleBook`, `Telemetry`, the loop around them in its slices, and the encoding of what is written.
Not there: the network to the store and the store itself, starting processes, the mirror's watch.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from autoscaler.reconcilers.base import Failure
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.kinds import Record
from controlplane.model.reports import OpenStreams, ProtonNumbers, WorkerNumbers
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import (
    Autoscaling,
    GroupRuntime,
    Proton,
    Replica,
    Runtime,
    ScalingPolicy,
)
from controlplane.store.client import Delete, Put

R = TypeVar("R", bound=Record)

TARGET: Final = 10.0
"""Requests in flight per replica that the one policy of every proton aims for."""
_EPOCH_S: Final = 1_700_000_000.0
_DECODER: Final = msgspec.json.Decoder(WorkerNumbers)
_ENCODER: Final = msgspec.json.Encoder()


def proton_id(index: int) -> str:
    """24 hexadecimal digits."""
    return f"{index:024x}"


def protons(count: int) -> dict[str, Proton]:
    """Protons that scale between 0 and 100 by requests in flight."""
    auto = Autoscaling(
        policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=TARGET),),
        min_replicas=0,
        max_replicas=100,
    )
    runtime = Runtime(container_groups=(GroupRuntime(name="default", autoscaling=auto),))
    return {
        one: Proton(
            id=one,
            workload_id=proton_id(2**40 + index),
            artifact_id=proton_id(2**41),
            spec=ArtifactSpec(),
            runtime=runtime,
            creator_id=proton_id(2**42),
            created_at=_EPOCH_S,
            updated_at=_EPOCH_S,
        )
        for index, one in enumerate(map(proton_id, range(count)))
    }


class Traffic:
    """Gateways that report every proton as busy; each has requests in flight and new ones.

    A proton has 20 to 40 requests in flight over all gateways, in a wave of two minutes, each
    proton at its own point of it: so in every round some counts rise and some fall.
    """

    def __init__(self, protons: int, gateways: int) -> None:
        self._protons = protons
        self._gateways = gateways
        self._second = 0
        self._load_s = [0.0] * protons
        self._started = [0] * protons
        self.spent_s = 0.0
        """CPU time that writing the reports took, which is not the autoscaler's."""

    @property
    def now_s(self) -> float:
        """The gateways' clock."""
        return float(self._second)

    def tick(self) -> None:
        """A second passes."""
        self._second += 1
        for index in range(self._protons):
            self._load_s[index] += self._in_flight(index)
            self._started[index] += 11

    def _in_flight(self, index: int) -> int:
        """Of one gateway."""
        wave = (self._second + index * 7) % 120
        return max(1, (20 + 20 * abs(60 - wave) // 60) // self._gateways)

    def bodies(self) -> list[bytes]:
        """The numbers as the store holds them."""
        began_s = time.process_time()
        loads = {
            proton_id(index): ProtonNumbers(
                started=self._started[index],
                in_flight=self._in_flight(index),
                load_seconds=self._load_s[index],
            )
            for index in range(self._protons)
        }
        made = [
            _ENCODER.encode(
                WorkerNumbers(
                    worker_id=f"gateway-{gateway}", clock_s=self.now_s, revision=7, protons=loads
                )
            )
            for gateway in range(self._gateways)
        ]
        self.spent_s += time.process_time() - began_s
        return made


class BenchStore:
    """Answers the collector from `Traffic`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    async def collect_numbers(self) -> list[WorkerNumbers]:
        """As the store's client decodes them."""
        return [_DECODER.decode(body) for body in self._traffic.bodies()]


class BenchMirror:
    """Holds the protons."""

    def __init__(self, held: dict[str, Proton]) -> None:
        self._held = held

    def all(self, cls: type[R]) -> Mapping[str, R]:
        """All of a kind."""
        return self._held if cls is Proton else {}  # type: ignore[return-value]  # one kind only

    def get(self, cls: type[R], id: str) -> R | None:  # noqa: A002 - as the mirror has it
        """One of a kind."""
        return self.all(cls).get(id)


class BenchLeadership:
    """Leads, and encodes what it is given to write."""

    leading = True

    def __init__(self) -> None:
        self.written_bytes = 0
        self.records = 0
        self.entries = 0

    async def commit(
        self, writes: Sequence[Put | Delete], *, journal: Sequence[tuple[str, bytes, int]] = ()
    ) -> None:
        """Encode, count, forget."""
        for write in writes:
            if isinstance(write, Put):
                self.written_bytes += len(_ENCODER.encode(write.record))
        self.records += len(writes)
        self.entries += len(journal)
        self.written_bytes += sum(len(entry) for _, entry, _ in journal)


class BenchReconciler:
    """Three ready replicas for every proton, whatever is planned."""

    def __init__(self, held: Mapping[str, Proton]) -> None:
        self._replicas = [
            Replica(
                id=f"{one}-{number}",
                workload_id=proton.workload_id,
                proton_id=one,
                phase=ReplicaPhase.READY,
                created_at=_EPOCH_S,
            )
            for one, proton in held.items()
            for number in range(3)
        ]
        self._failures: dict[str, Failure] = {}
        self.plans = 0

    def replicas(self) -> Sequence[Replica]:
        """All of them."""
        return self._replicas

    def plan(self, proton: Proton, wanted: int, placement: object = None) -> None:
        """Count the plans."""
        del proton, wanted, placement
        self.plans += 1

    def set_load(
        self,
        loads: Mapping[str, int],
        *,
        streams: Mapping[str, OpenStreams],
        acknowledged_revision: int | None,
    ) -> None:
        """Nobody drains."""

    def cpu_percent(self, proton_id: str) -> Sequence[float | None]:
        """Not measured."""
        del proton_id
        return ()

    def cold_starts(self, proton_id: str) -> Sequence[float]:
        """As many as are kept of a proton that has woken often."""
        del proton_id
        return (1.5, 2.5, 2.0)

    def failure(self, proton_id: str) -> Failure | None:
        """Nothing is wrong."""
        return self._failures.get(proton_id)
