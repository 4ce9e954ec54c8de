"""The traffic that the autoscalers are compared on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoscaler.replay.chance import Service, parse_service
from autoscaler.replay.formats import open_trace
from autoscaler.replay.generate import Traffic, generate
from autoscaler.replay.traces import Arrival, Trace
from autoscaler.replay.trials import Bench, read_bench

AZURE: Final = Path(__file__).parents[2].parent / "shared" / "traces" / "azure_llm_2023_code.csv"
"""Not part of the repository; the scenario is left out, and named, where it is not there."""


_NONE: Final = Traffic(duration_s=0, per_s=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of traffic, and the replicas that serve it."""

    name: str
    title: str
    start_up: str
    """As `--start-up`."""
    service: str
    """As `--service`."""
    concurrency: int
    """Requests that a replica works on at a time; the gateway sends it no more."""
    traffic: Traffic = _NONE
    file: Path | None = None
    """Its traffic instead of generated one."""
    min_replicas: int
    """0 where scaling to zero is part of the matter; the HPA's is 1 in any case."""

    def available(self) -> bool:
        """Whether its traffic is at hand."""
        return self.file is None or self.file.exists()

    def bench(self, seed: int, *, part: float = 1.0) -> Bench:
        """Its traffic and world.

        Args:
            seed: Of the traffic, and of start-up and service times.
            part: Only this share of the time, from the beginning.

        Raises:
            ReplayError: The file is damaged.
        """
        service = parse_service(self.service)
        trace = self._trace(service, seed)
        return read_bench(
            _begun(trace, part) if part < 1 else trace,
            Service() if self.file is None else service,
            seed=seed,
            workers=2,
            concurrency=self.concurrency,
            start_up=self.start_up,
            initial=max(1, self.min_replicas),
        )

    def _trace(self, service: Service, seed: int) -> Trace:
        if self.file is not None:
            return open_trace(self.file)
        traffic = self.traffic
        return Trace(
            name=self.name,
            format="generated",
            read=lambda: generate(traffic, service, seed=seed),
            duration_s=traffic.duration_s,
        )

    def command(self) -> str:
        """The command line that makes (or names) the trace for seed 1."""
        traffic = self.traffic
        if self.file is not None:
            return f"../shared/traces/{self.file.name}"
        words = [
            "tidegate generate",
            f"--hours {traffic.duration_s / 3600:g}",
            f"--per-second {traffic.per_s:g}",
            f"--pattern {','.join(traffic.patterns)}",
            f"--service {self.service}",
            "--seed 1",
        ]
        if traffic.gaps != "poisson":
            words.append(f"--gaps {traffic.gaps} --variation {traffic.variation:g}")
        if "spikes" in traffic.patterns:
            words += [
                f"--spike-every {traffic.spike_every_s:g}",
                f"--spike-factor {traffic.spike_factor:g}",
                f"--spike-seconds {traffic.spike_s:g}",
            ]
        return " ".join(words)


def _begun(trace: Trace, part: float) -> Trace:
    """The beginning of a trace."""
    last_s = trace.duration_s
    if last_s is None:
        last_s = max((arrival.at_s for arrival in trace.read()), default=0.0)
    end_s = last_s * part

    def read() -> Iterator[Arrival]:
        for arrival in trace.read():
            if arrival.at_s >= end_s:
                return
            yield arrival

    return Trace(name=trace.name, format=trace.format, read=read, duration_s=end_s)


SCENARIOS: Final = (
    Scenario(
        name="azure-code",
        title="Azure LLM inference trace 2023, code: 8,819 requests in 58 min",
        start_up="lognormal:20,60",
        service="tokens:4000,50",
        concurrency=4,
        file=AZURE,
        min_replicas=1,
    ),
    Scenario(
        name="bursty",
        title="Bursts: Gamma gaps with a coefficient of variation of 4, 5 requests/s for 1 h",
        start_up="lognormal:10,30",
        service="lognormal:0.8,4",
        concurrency=4,
        traffic=Traffic(duration_s=3600, per_s=5, gaps="gamma", variation=4),
        min_replicas=1,
    ),
    Scenario(
        name="spikes",
        title="Spikes: eight times the 3 requests/s for a minute, about every 15 min, for 1 h",
        start_up="lognormal:10,30",
        service="lognormal:0.8,4",
        concurrency=4,
        traffic=Traffic(duration_s=3600, per_s=3, patterns=("spikes",), spike_every_s=900),
        min_replicas=1,
    ),
    Scenario(
        name="diurnal",
        title="A day's rise from its low at 3 o'clock, 1 request/s on average, for 8 h",
        start_up="lognormal:30,90",
        service="lognormal:8,40",
        concurrency=4,
        traffic=Traffic(duration_s=8 * 3600, per_s=1.0, patterns=("diurnal",)),
        min_replicas=1,
    ),
    Scenario(
        name="pauses",
        title="Nothing for half of the time, in stretches of 15 min: to zero and back, 4 h",
        start_up="lognormal:5,15",
        service="lognormal:0.8,4",
        concurrency=4,
        traffic=Traffic(duration_s=4 * 3600, per_s=1.5, patterns=("pauses",)),
        min_replicas=0,
    ),
    Scenario(
        name="weibull",
        title="Weibull gaps with a coefficient of variation of 3, 2 requests/s or fewer, for 2 h",
        start_up="lognormal:20,60",
        service="lognormal:3,15",
        concurrency=4,
        traffic=Traffic(
            duration_s=2 * 3600, per_s=2, patterns=("diurnal",), gaps="weibull", variation=3
        ),
        min_replicas=1,
    ),
    Scenario(
        name="mixed",
        title="Gamma gaps of 2, four times the 6 requests/s for 3 min, about every 30 min, for 2 h",
        start_up="lognormal:15,40",
        service="lognormal:1.5,8",
        concurrency=8,
        traffic=Traffic(
            duration_s=2 * 3600,
            per_s=6,
            patterns=("spikes",),
            gaps="gamma",
            variation=2,
            spike_factor=4,
            spike_s=180,
            spike_every_s=1800,
        ),
        min_replicas=1,
    ),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
