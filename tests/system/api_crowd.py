"""Clients that create, edit, replace and delete at once, and remember what was acknowledged.

Each client changes records of its own one request at a time, so that it knows what they must be;
all of them quarrel over a few shared ones. A request without an answer may have been done, or not.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

CONTAINER = {
    "name": "main",
    "imageUri": "example/none:1",
    "port": 8000,
    "entrypoint": ["python3", "-m", "controlplane.demo.service"],
}
SPEC = {"containerGroups": [{"containers": [CONTAINER]}]}
AT_ZERO = {
    "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 4}],
    "minReplicaCount": 0,
    "maxReplicaCount": 1,
}
RUNTIME = {"containerGroups": [{"autoscaling": AT_ZERO}]}


@dataclass
class Known:
    """What a client knows about a record of its own."""

    description: str = ""
    maybe: set[str] = field(default_factory=set)
    """Descriptions of requests without an answer since the last acknowledged one."""
    deleted: bool = False
    maybe_deleted: bool = False
    locked: bool = False
    maybe_locked: bool = False
    artifact_id: str = ""
    replacements: list[str] = field(default_factory=list)


@dataclass
class Client:
    """One client with the records that it made."""

    http: httpx2.AsyncClient
    chance: random.Random
    shared: list[str]
    tokens: itertools.count
    statuses: Counter[str]
    workloads: dict[str, Known] = field(default_factory=dict)
    artifacts: dict[str, Known] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def run(self, until_s: float) -> None:
        """Work until then, or until the server is gone."""
        actions = [
            *(self.create_workload, self.create_workload, self.create_artifact),
            *(self.describe_workload, self.describe_workload, self.describe_workload),
            *(self.describe_artifact, self.lock, self.replace, self.replace, self.settings),
            *(self.delete_workload, self.delete_artifact, self.stop, self.start, self.quarrel),
        ]
        while time.monotonic() < until_s:
            try:
                await self.chance.choice(actions)()
            except httpx2.TransportError:
                return

    async def ask(self, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; raises `TransportError` when nobody knows what became of it."""
        answer = await self.http.request(verb, f"/api/v2/{path}", json=body)
        self.statuses[f"{verb} {answer.status_code}"] += 1
        if answer.status_code >= 500:
            self.faults.append(f"{verb} {path}: {answer.status_code} {answer.text}")
        return answer.status_code, answer.json() if answer.content else None

    def token(self) -> str:
        """A text that is nowhere else."""
        return f"description {next(self.tokens)}"

    def some(self, records: dict[str, Known]) -> tuple[str, Known] | None:
        """One of the records that are there for certain."""
        found = [(i, k) for i, k in records.items() if not (k.deleted or k.maybe_deleted)]
        return self.chance.choice(found) if found else None

    # -- actions ----------------------------------------------------------------------------------

    async def create_artifact(self) -> None:
        text = self.token()
        body = {"name": "an artifact", "description": text, "spec": SPEC}
        status, made = await self.ask("POST", "artifacts/", body)
        if status == 201:
            self.artifacts[made["id"]] = Known(description=text)

    async def create_workload(self) -> None:
        text = self.token()
        body = {"name": "a workload", "description": text, "runtime": RUNTIME}
        artifact = {"name": "inline", "description": text, "spec": SPEC}
        status, made = await self.ask("POST", "workloads/", {**body, "artifact": artifact})
        if status == 201:
            self.workloads[made["id"]] = Known(description=text, artifact_id=made["artifactId"])
            self.artifacts[made["artifactId"]] = Known(description=text)

    async def describe(self, kind: str, records: dict[str, Known]) -> None:
        found = self.some(records)
        if found is None:
            return
        one, known = found
        text = self.token()
        known.maybe.add(text)
        status, _ = await self.ask("PATCH", f"{kind}/{one}/", {"description": text})
        if status == 200:
            known.description = text
            known.maybe.clear()
        else:
            known.maybe.discard(text)

    async def describe_workload(self) -> None:
        await self.describe("workloads", self.workloads)

    async def describe_artifact(self) -> None:
        await self.describe("artifacts", self.artifacts)

    async def lock(self) -> None:
        found = self.some(self.artifacts)
        if found is None:
            return
        one, known = found
        known.maybe_locked = True
        status, made = await self.ask("PATCH", f"artifacts/{one}/", {"status": "locked"})
        if status == 200:
            assert made["version"] >= 1
            known.locked = True
        known.maybe_locked = known.locked

    async def replace(self) -> None:
        workload, artifact = self.some(self.workloads), self.some(self.artifacts)
        if workload is None or artifact is None:
            return
        one, known = workload
        body = {"artifactId": artifact[0], "strategy": "rolling"}
        status, made = await self.ask("POST", f"workloads/{one}/replacement", body)
        if status == 202:
            known.replacements.append(made["id"])

    async def settings(self) -> None:
        found = self.some(self.workloads)
        if found is not None:
            group = {"autoscaling": {**AT_ZERO, "maxReplicaCount": self.chance.randint(1, 3)}}
            body = {"runtime": {"containerGroups": [group]}}
            await self.ask("PATCH", f"workloads/{found[0]}/settings", body)

    async def delete(self, kind: str, records: dict[str, Known]) -> None:
        found = self.some(records)
        if found is None:
            return
        one, known = found
        known.maybe_deleted = True
        status, _ = await self.ask("DELETE", f"{kind}/{one}/")
        known.deleted = status == 204
        known.maybe_deleted = known.deleted

    async def delete_workload(self) -> None:
        await self.delete("workloads", self.workloads)

    async def delete_artifact(self) -> None:
        await self.delete("artifacts", self.artifacts)

    async def stop(self) -> None:
        found = self.some(self.workloads)
        if found is not None:
            await self.ask("POST", f"workloads/{found[0]}/stop")

    async def start(self) -> None:
        found = self.some(self.workloads)
        if found is not None:
            await self.ask("POST", f"workloads/{found[0]}/start")

    async def quarrel(self) -> None:
        """Change what all the others change too."""
        one = self.chance.choice(self.shared)
        match self.chance.randint(0, 3):
            case 0:
                artifact = self.some(self.artifacts)
                if artifact is not None:
                    body = {"artifactId": artifact[0], "strategy": "rolling"}
                    await self.ask("POST", f"workloads/{one}/replacement", body)
            case 1:
                await self.ask("POST", f"workloads/{one}/{self.chance.choice(['start', 'stop'])}")
            case _:
                body = {"description": self.token()}
                await self.ask("PATCH", f"workloads/{one}/", body)


@dataclass
class Crowd:
    """Many clients of one installation."""

    clients: list[Client] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    async def work(self, url: str, token: str, *, clients: int, seconds: float) -> None:
        """Let so many clients work for so long, or until the server is gone."""
        limits = httpx2.Limits(max_connections=clients + 1)
        async with httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            limits=limits,
            timeout=60,
        ) as http:
            first = Client(http, random.Random(0), [], itertools.count(), self.statuses)
            for _ in range(3):
                await first.create_workload()
            self.shared = list(first.workloads)
            first.workloads.clear()  # everybody changes them: nobody knows what they must be
            self.clients = [first] + [
                Client(http, random.Random(n), self.shared, first.tokens, self.statuses)
                for n in range(1, clients + 1)
            ]
            until_s = time.monotonic() + seconds
            await asyncio.gather(*(client.run(until_s) for client in self.clients[1:]))
