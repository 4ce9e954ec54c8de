"""The API as it is served: a process of its own over a real store, for tests without asyncio."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from controlplane import accounts, sealing
from controlplane.model.sections import StoreSettings
from controlplane.store.client import Store


@dataclass(frozen=True)
class Served:
    """One running API process."""

    url: str
    token: str
    store_url: str
    log: Path

    def client(self) -> httpx2.Client:
        """A client that has the owner's token."""
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60
        )

    def revision(self) -> int:
        """How many commits the store has seen that wrote records."""
        return asyncio.run(_revision(self.store_url))

    def faults(self) -> list[dict[str, Any]]:
        """What it logged as errors."""
        entries = (
            json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"
        )
        return [entry for entry in entries if entry["level"] == "error"]


async def _revision(url: str) -> int:
    async with await Store.connect(StoreSettings(url=url), client_name="probe") as store:
        return await store.commit([], journal=[("probe", b"", 1)])


async def _owner(url: str) -> str:
    async with await Store.connect(StoreSettings(url=url), client_name="owner") as store:
        text = await accounts.ensure_owner(store)
        assert text is not None, "the store is not empty"
        return text


@contextmanager
def served(store_url: str, **settings: str) -> Iterator[Served]:
    """An API over an empty store; `settings`: further environment variables."""
    token = asyncio.run(_owner(store_url))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
    ours = {
        "TIDEGATE_LOG_FORMAT": "json",
        "TIDEGATE_STORE_URL": store_url,
        "TIDEGATE_API_PORT": "0",
    }
    with tempfile.TemporaryDirectory(prefix="tg-") as directory:
        log = Path(directory) / "api.log"
        ours["TIDEGATE_UP_DATA_DIR"] = directory
        (Path(directory) / sealing.KEY_FILE).write_text(f"{sealing.new_key()}\n")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "controlplane.api"],
                stderr=stream,
                env=kept | ours | settings,
            )
        try:
            url = _listening(process, log)
            yield Served(url=url, token=token, store_url=store_url, log=log)
        finally:
            process.terminate()
            process.wait(60)


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line)["message"] == "listening":
                return str(json.loads(line)["url"])
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"does not listen: {log.read_text()}")
