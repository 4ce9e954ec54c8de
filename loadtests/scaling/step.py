"""A step in the load, on a running installation and in the models of others.

From a trickle to `LOAD` requests in flight, from one moment to the next: how long until the right
count of replicas is wanted? The real one is `tidegate up` with the demo's service, in a directory
of its own and on free ports; what it decided, and when, stands in its journal.
"""

import asyncio
import math
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from autoscaler.replay.chance import constant
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.peers import Hpa, Keda, Knative, Terms
from autoscaler.replay.scaler import Scaler, Seen
from autoscaler.replay.simulate import run
from autoscaler.replay.world import World
from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError
from controlplane.cli.private_up import PrivateUp
from controlplane.cli.specs import ContainerOptions, ScalingOptions, artifact_body, runtime_body
from controlplane.cli.stores import open_store
from controlplane.cli.waiting import wait_for
from controlplane.demo.client import OpenLoopClient
from controlplane.model.decisions import Decision
from controlplane.model.sections import StoreSettings
from controlplane.model.workloads import Autoscaling, ScalingPolicy

TARGET: Final = 4.0
LOAD: Final = 20
SERVICE_S: Final = 0.5
TRICKLE_PER_S: Final = 2.0
MAX_REPLICAS: Final = 8
RIGHT: Final = math.ceil(LOAD / TARGET)
"""Replicas that the load needs after the step."""

BEFORE_S: Final = 10.0
AFTER_S: Final = 15.0
"""How long the running system gets the trickle, and the load."""
MODEL_BEFORE_S: Final = 90.0
MODEL_AFTER_S: Final = 120.0
RUNS: Final = 5
"""Of the running system."""
PHASES: Final = 12
"""Moments of the models' own clocks at which the step comes: it makes up to 15 s of difference."""

_START_UP_S: Final = 1.0
_DEADLINE_S: Final = 60.0
_ALL: Final = 1000


def measure(*, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the running system some times, then ask the models.

    Returns:
        The step (`target`, `load`, `service_s`, `right`), `runs`, `phases`, and `answers`: per
        contender its `name`, the highest count it `wanted`, and the seconds until it wanted the
        right one: `after_s` in the middle, `quickest_s` and `slowest_s`; None: not in every run.

    Raises:
        CliError: The system did not start.
    """
    say(f"step: {LOAD} requests at a time, {RIGHT} replicas are right")
    answers = [_answer("Tidegate, running", [asyncio.run(_real()) for _ in range(RUNS)])]
    say(f"  {answers[0]}")
    for name, make in MODELS.items():
        moments = (MODEL_BEFORE_S + 15.0 * i / PHASES for i in range(PHASES))
        answers.append(_answer(f"{name}, model", [modelled(make, step_s) for step_s in moments]))
        say(f"  {answers[-1]}")
    return {
        "target": TARGET,
        "load": LOAD,
        "service_s": SERVICE_S,
        "right": RIGHT,
        "runs": RUNS,
        "phases": PHASES,
        "answers": answers,
    }


def _answer(name: str, found: list[tuple[float | None, int]]) -> dict[str, Any]:
    known = [after_s for after_s, _ in found if after_s is not None]
    whole = len(known) == len(found)
    return {
        "name": name,
        "wanted": max(count for _, count in found),
        "after_s": round(statistics.median(known), 3) if whole else None,
        "quickest_s": round(min(known), 3) if whole else None,
        "slowest_s": round(max(known), 3) if whole else None,
    }


class Watched:
    """A scaler whose answers are written down."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler
        self.name = scaler.name
        self.wake_pause_s = scaler.wake_pause_s
        self.hears_replicas = scaler.hears_replicas
        self.next_s = scaler.next_s
        self.answers: list[tuple[float, int]] = []

    def look(self, seen: Seen) -> int:
        """Pass it on."""
        wanted = self._scaler.look(seen)
        self.next_s = self._scaler.next_s
        self.answers.append((seen.now_s, wanted))
        return wanted


def _ours(terms: Terms) -> Scaler:
    """Tidegate on the same terms, in the simulator."""
    return Tidegate(
        Autoscaling(
            policies=(ScalingPolicy(metric="httpRequestsConcurrency", target=terms.target),),
            min_replicas=terms.min_replicas,
            max_replicas=terms.max_replicas,
        )
    )


MODELS: Final[Mapping[str, Callable[[Terms], Scaler]]] = {
    "Tidegate": _ours,
    "Knative KPA": Knative,
    "HPA on load": Hpa,
    "KEDA HTTP add-on": Keda,
}


def modelled(make: Callable[[Terms], Scaler], step_s: float) -> tuple[float | None, int]:
    """The same step in the simulator.

    Args:
        make: The model.
        step_s: When the step comes.

    Returns:
        Seconds from the step until at least the right count was wanted (None: never), and the
        highest.
    """
    scaler = Watched(
        make(
            Terms(target=TARGET, concurrency=2 * TARGET, min_replicas=1, max_replicas=MAX_REPLICAS)
        )
    )
    run(
        [(at_s, SERVICE_S) for at_s in arrivals(step_s, step_s + MODEL_AFTER_S)],
        World(replica_limit=round(2 * TARGET), initial=1, start_up=constant(_START_UP_S)),
        scaler,
    )
    answers = [(at_s, wanted) for at_s, wanted in scaler.answers if at_s >= step_s]
    after_s = next((at_s - step_s for at_s, wanted in answers if wanted >= RIGHT), None)
    return after_s, max(wanted for _, wanted in answers)


def arrivals(step_s: float, end_s: float) -> list[float]:
    """When requests come: a trickle, then as many as keep `LOAD` in flight."""
    trickle = [i / TRICKLE_PER_S for i in range(int(step_s * TRICKLE_PER_S))]
    per_s = LOAD / SERVICE_S
    # A step from one moment to the next: the first `LOAD` requests come at once.
    steady = [step_s + i / per_s for i in range(int((end_s - step_s) * per_s))]
    return trickle + steady


async def _real() -> tuple[float | None, int]:
    """What `modelled` returns, of a running installation."""
    with tempfile.TemporaryDirectory(prefix="scaling-step-") as directory:
        up = PrivateUp(
            Path(directory),
            workers=1,
            assignments=[],
            on_event=lambda _: None,
        )
        async with up, asyncio.timeout(_DEADLINE_S + BEFORE_S + AFTER_S):
            info = up.info
            credentials = Credentials(url=info["api_url"], token=info["token"])
            with Api(credentials) as api:
                workload = await asyncio.to_thread(_deploy, api)
            began_at = await _drive(workload, credentials.token)
            async with open_store(StoreSettings(), url=info["store_url"]) as store:
                journal = f"decisions:{workload['protonId']}"
                entries, _ = await store.read_journal(journal, limit=_ALL)
    decisions = [msgspec.json.decode(entry, type=Decision) for entry in reversed(entries)]
    after = [decision for decision in decisions if decision.at >= began_at]
    found = next((one for one in after if one.replicas >= RIGHT), None)
    after_s = None if found is None else found.at - began_at
    return after_s, max((one.replicas for one in after), default=0)


def _deploy(api: Api) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "controlplane.demo.service"]
    container = ContainerOptions(
        entrypoint=shlex.join(command),
        port=8080,
        image=None,
        env=(f"SAMPLE_STARTUP_S={_START_UP_S}", f"SAMPLE_SERVICE_S={SERVICE_S}"),
        readiness="/healthz",
    )
    scaling = ScalingOptions(min_replicas=1, max_replicas=MAX_REPLICAS, concurrency=TARGET)
    body = {
        "name": "step",
        "artifact": artifact_body("step", container),
        "runtime": runtime_body(container, scaling),
    }
    created = api.call("POST", "workloads", body=body)
    settled = wait_for(api, created["id"], "running", timeout_s=_DEADLINE_S)
    if settled is None:
        raise CliError("the workload vanished")
    return settled


async def _drive(workload: dict[str, Any], token: str) -> float:
    """Send the trickle and the load; returns the wall clock of the step."""
    base = urlsplit(workload["endpoint"])
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "tidegate-step"}
    loop = asyncio.get_running_loop()
    tasks = []
    async with OpenLoopClient(
        base.hostname or "", base.port or 80, prefix=base.path, headers=headers
    ) as client:
        start_s, began_at = loop.time(), time.time()
        for at_s in arrivals(BEFORE_S, BEFORE_S + AFTER_S):
            if (delay_s := start_s + at_s - loop.time()) > 0:
                await asyncio.sleep(delay_s)
            request = client.request(
                method="POST", path="/predict", body=b"{}", phase="step", at_s=start_s + at_s
            )
            tasks.append(asyncio.create_task(request))
        await asyncio.wait(tasks, timeout=_DEADLINE_S)
    return began_at + BEFORE_S
