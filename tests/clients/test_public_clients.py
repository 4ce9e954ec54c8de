"""The vendor's own client against a running installation; nothing of it was changed.

`datarobot-genai` (Apache-2.0) has the only published Python client of the Workload API; it works on
`datarobot`, the SDK, whose start-up handshake this drives too. Both are looked for in this
environment, or in that of the interpreter which `TIDEGATE_CLIENT_PYTHON` names.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import clean_environ, tidegate_up, up_dir

__all__ = ["tidegate_up", "up_dir"]

FLOW = Path(__file__).with_name("genai_flow.py")


def client_python() -> str:
    """An interpreter that has the client."""
    named = os.environ.get("TIDEGATE_CLIENT_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("datarobot_genai") and importlib.util.find_spec("datarobot"):
        return sys.executable
    pytest.skip(
        "needs the vendor's client: pip install datarobot datarobot-genai"
        " aiohttp pydantic-settings pyjwt httpx"
    )


@pytest.mark.timeout(400)
def test_the_vendors_client_leads_a_workload_through_its_life(tidegate_up, tmp_path):
    python = client_python()
    up = tidegate_up(settings=["autoscaler.tick_s=0.2"])
    service = [sys.executable, "-m", "controlplane.demo.service"]
    told = subprocess.run(
        [python, "-W", "ignore", str(FLOW), *service],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env=clean_environ(
            DATAROBOT_ENDPOINT=f"{up.api_url}/api/v2",
            DATAROBOT_API_TOKEN=up.token,
            AUTH_RESOLUTION_STRATEGY="config",
            DATAROBOT_API_CONSUMER_TRACKING_ENABLED="false",
        ),
    )
    said = f"{told.stdout}\n{told.stderr}\n{up.tell()}"
    assert told.returncode == 0, said
    seen = json.loads(told.stdout.rpartition("done ")[2])
    assert "totalRequests" in seen["stats"]["metrics"]
    assert seen["history"] >= 1
    assert seen["described"]
