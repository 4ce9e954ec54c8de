"""Applications that write absolute links, told of their prefix as gateway/README.md says."""

import re
import sys

import httpx2
import pytest

from tests.peers.applications import APPS, Application
from tests.system.conftest import Up


@pytest.mark.parametrize(
    ("framework", "path", "link", "says"),
    [
        pytest.param(
            "fastapi", "/docs", r"url: '([^']+)'", '"openapi"', id="a-root-path-from-WORKLOAD_ID"
        ),
        pytest.param(
            "flask", "/", r'href="([^"]+)"', "about tides", id="the-header-X-Forwarded-Prefix"
        ),
    ],
)
def test_links_lead_back_through_the_gateway(
    up: Up, framework: str, path: str, link: str, says: str
) -> None:
    command = f"PREFIX=/api/v2/endpoints/workloads/$WORKLOAD_ID exec {sys.executable}"
    with (
        Application.deployed(
            up, "sh", "-c", f"{command} {APPS / 'linking.py'} {framework}"
        ) as told,
        httpx2.Client(headers=told.headers, verify=False, timeout=60) as http,
    ):
        found = re.search(link, http.get(told.url + path).text)
        assert found is not None
        assert found[1].startswith(f"{told.path}/")
        assert says in http.get(told.up.gateway_url + found[1]).text
