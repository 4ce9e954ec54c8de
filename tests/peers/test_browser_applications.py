"""Streamlit and Gradio in a browser: page, WebSocket, streams and upload through the invoke URL.

Neither knows of the prefix. Streamlit uses relative URLs and works as it is; Gradio writes absolute
ones and must be told. Both work at a host of their own, where a reverse proxy of the user's adds
prefix and token: what is in gateway/README.md, "Applications behind a path prefix".
"""

import hashlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fakes.tools import require_tool
from tests.peers.applications import APPS, Application
from tests.peers.own_host import own_host
from tests.system.conftest import Up

FILE = random.Random(5).randbytes(5_000_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
DEADLINE_MS = 60_000

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium from the distribution."""
    chromium = require_tool("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens pages of a fresh profile; `headers`: what the browser adds to every request."""
    contexts = []

    def open_page(headers: dict[str, str] | None = None) -> Page:
        context = browser.new_context(extra_http_headers=headers or {}, accept_downloads=True)
        context.set_default_timeout(DEADLINE_MS)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def streamlit(up: Up) -> Iterator[Application]:
    """Streamlit as its manual starts it; it is told nothing of the gateway."""
    command = (
        f"exec {sys.executable} -m streamlit run {APPS / 'streamlit_app.py'}"
        " --server.port $PORT --server.address 127.0.0.1 --server.headless true"
        " --browser.gatherUsageStats false"
    )
    probe = {"path": "/_stcore/health", "port": 8080, "initialDelaySeconds": 0, "periodSeconds": 1}
    with Application.deployed(
        up, "sh", "-c", command, container={"readinessProbe": probe}
    ) as application:
        yield application


@contextmanager
def gradio(up: Up, settings: str) -> Iterator[Application]:
    """Gradio with these environment variables, which a shell expands where it runs."""
    # The model hub that it would otherwise ask at its start is not needed for a page.
    command = f"HF_HUB_OFFLINE=1 {settings} exec {sys.executable} {APPS / 'gradio_app.py'}"
    with Application.deployed(up, "sh", "-c", command) as application:
        yield application


@pytest.fixture(scope="module")
def gradio_told(up: Up) -> Iterator[Application]:
    """Gradio that is told its prefix."""
    root = "GRADIO_ROOT_PATH=/api/v2/endpoints/workloads/$WORKLOAD_ID"
    with gradio(up, root) as application:
        yield application


@pytest.fixture(scope="module")
def gradio_untold(up: Up) -> Iterator[Application]:
    """Gradio that knows nothing of the gateway."""
    with gradio(up, "") as application:
        yield application


def use_streamlit(page: Page, url: str) -> None:
    """A greeting, a session's state, and an upload."""
    page.goto(url)
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Name").press("Enter")
    expect(page.get_by_text("Hello, Ada.")).to_be_visible(timeout=DEADLINE_MS)
    for count in (1, 2):
        page.get_by_role("button", name="Count").click()
        expect(page.get_by_text(f"Counted {count} times.")).to_be_visible(timeout=DEADLINE_MS)
    page.locator("input[type=file]").set_input_files(
        {"name": "tides.bin", "mimeType": "application/octet-stream", "buffer": FILE}
    )
    told = f"tides.bin: {len(FILE)} bytes, {SHA256}"
    expect(page.get_by_text(told)).to_be_visible(timeout=DEADLINE_MS)


def use_gradio(page: Page, url: str) -> None:
    """A greeting, a stream of words, and an upload."""
    page.goto(url)
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Greet").click()
    expect(page.get_by_label("Greeting")).to_have_value("Hello, Ada.", timeout=DEADLINE_MS)
    page.get_by_role("button", name="Spell").click()
    expect(page.get_by_label("Spelling")).to_have_value("A-d-a", timeout=DEADLINE_MS)
    page.locator("input[type=file]").first.set_input_files(
        {"name": "tides.bin", "mimeType": "application/octet-stream", "buffer": FILE}
    )
    told = f"{len(FILE)} bytes, {SHA256}"
    expect(page.get_by_label("Size")).to_have_value(told, timeout=DEADLINE_MS)


def test_streamlit_works_as_it_is_where_the_browser_adds_the_token(
    streamlit: Application, new_page: NewPage
) -> None:
    page = new_page(streamlit.headers)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    use_streamlit(page, f"{streamlit.url}/")
    assert sockets == [f"{streamlit.ws_url}/_stcore/stream"]
    # The limitation: what the browser fetches by itself has no such header.
    with page.expect_download() as download:
        page.get_by_text("Get it back").click()
    assert download.value.failure() is not None


def test_streamlit_works_at_a_host_of_its_own_where_the_browser_has_no_token(
    streamlit: Application, new_page: NewPage, tmp_path: Path
) -> None:
    with own_host(streamlit) as url:
        page = new_page()
        use_streamlit(page, f"{url}/")
        with page.expect_download() as download:
            page.get_by_text("Get it back").click()
        download.value.save_as(tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == FILE


def test_a_page_cannot_add_the_token_to_a_websocket_itself(
    streamlit: Application, new_page: NewPage
) -> None:
    """The limitation: scripts can set headers of fetch, and none of a WebSocket."""
    page = new_page()
    answer = page.goto(f"{streamlit.url}/")
    assert answer is not None
    assert answer.status == 401
    fetched = page.evaluate(
        "([url, headers]) => fetch(url, {headers}).then(answer => answer.status)",
        [f"{streamlit.url}/_stcore/health", streamlit.headers],
    )
    assert fetched == 200
    outcome = page.evaluate(
        """url => new Promise(done => {
            const socket = new WebSocket(url);
            socket.onopen = () => done("open");
            socket.onerror = () => done("error");
        })""",
        f"{streamlit.ws_url}/_stcore/stream",
    )
    assert outcome == "error"


@pytest.mark.slow
def test_gradio_works_when_it_is_told_its_prefix(
    gradio_told: Application, new_page: NewPage
) -> None:
    use_gradio(new_page(gradio_told.headers), f"{gradio_told.url}/")


@pytest.mark.slow
def test_gradio_that_is_not_told_asks_beside_its_prefix(
    gradio_untold: Application, new_page: NewPage
) -> None:
    """The limitation: its page comes, but its calls go to the gateway's own root."""
    page = new_page(gradio_untold.headers)
    with page.expect_response(lambda answer: "/gradio_api/queue/join" in answer.url) as joined:
        page.goto(f"{gradio_untold.url}/")
        page.get_by_label("Name").fill("Ada")
        page.get_by_role("button", name="Greet").click()
    assert joined.value.url.startswith(f"{gradio_untold.up.gateway_url}/gradio_api/")
    assert joined.value.status == 404
    assert joined.value.headers["x-tidegate-error"] == "no_route"


@pytest.mark.slow
def test_gradio_that_is_not_told_works_at_a_host_of_its_own(
    gradio_untold: Application, new_page: NewPage
) -> None:
    with own_host(gradio_untold) as url:
        use_gradio(new_page(), f"{url}/")
