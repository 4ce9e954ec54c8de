"""OpenAI's own client against a chat server behind the invoke URL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from tests.peers.applications import Application
from tests.system.conftest import Up

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def chat(up: Up) -> Iterator[Application]:
    """The server of apps/chat_server.py."""
    with Application.deployed(up, "chat_server.py") as application:
        yield application


@asynccontextmanager
async def client(chat: Application, **options: object) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client as people configure it: the base URL is the invoke URL, the key is the token."""
    async with openai.AsyncOpenAI(
        base_url=f"{chat.url}/v1", api_key=chat.up.token, max_retries=0, timeout=DEADLINE_S
    ) as made:
        yield made.with_options(**options) if options else made  # type: ignore[arg-type]


async def open_gate(chat: Application, stream: str) -> None:
    """Let the server produce the stream's next word."""
    async with httpx2.AsyncClient(headers=chat.headers, verify=False) as http:
        (await http.post(f"{chat.url}/gate/{stream}")).raise_for_status()


async def ending(chat: Application, stream: str) -> object:
    """How the server saw the stream's end; waits for it."""
    async with httpx2.AsyncClient(headers=chat.headers, timeout=DEADLINE_S, verify=False) as http:
        return (await http.get(f"{chat.url}/ending/{stream}")).raise_for_status().json()


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_each_word_arrives_before_the_next_is_produced(chat: Application) -> None:
    words = ["a", "tide", "gate", "opens", "by", "itself"]
    async with asyncio.timeout(DEADLINE_S), client(chat) as caller:
        stream = await caller.chat.completions.create(
            model="m", messages=asking(" ".join(words)), stream=True, user="gated"
        )
        heard = []
        async for piece in stream:
            if piece.choices[0].delta.content is None:
                assert piece.choices[0].finish_reason == "stop"
                continue
            heard.append(piece.choices[0].delta.content)
            # Nothing is made before this: had anything held the word back, it would not be here.
            if len(heard) < len(words):
                await open_gate(chat, "gated")
    assert heard == words
    assert await ending(chat, "gated") == {"ending": "done", "words": len(words)}


async def test_many_streams_at_once_each_go_at_their_own_pace(chat: Application) -> None:
    async def one(caller: openai.AsyncOpenAI, number: int) -> None:
        name, words = f"crowd-{number}", [f"{number}-{turn}" for turn in range(5)]
        stream = await caller.chat.completions.create(
            model="m", messages=asking(" ".join(words)), stream=True, user=name
        )
        heard = []
        async for piece in stream:
            if content := piece.choices[0].delta.content:
                heard.append(content)
                await open_gate(chat, name)
        assert heard == words

    async with asyncio.timeout(DEADLINE_S), client(chat) as caller, asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(one(caller, number))


async def test_a_stream_that_the_client_cancels_ends_at_the_server(chat: Application) -> None:
    async with asyncio.timeout(DEADLINE_S), client(chat) as caller:
        stream = await caller.chat.completions.create(
            model="m", messages=asking("one two three"), stream=True, user="cancelled"
        )
        piece = await anext(stream)
        assert piece.choices[0].delta.content == "one"
        await stream.close()
        # The server writes nothing at this moment: only the lost connection can tell it.
        assert await ending(chat, "cancelled") == {"ending": "cancelled", "words": 1}


async def test_a_request_cancelled_before_its_first_word_ends_at_the_server(
    chat: Application,
) -> None:
    async with asyncio.timeout(DEADLINE_S), client(chat) as caller:
        stream = await caller.chat.completions.create(
            model="slow", messages=asking("one"), stream=True, user="impatient"
        )
        await stream.close()
        assert await ending(chat, "impatient") == {"ending": "cancelled", "words": 0}
    await asyncio.to_thread(chat.settled)


async def test_a_whole_answer_that_nobody_awaits_any_more_is_not_computed_to_its_end(
    chat: Application,
) -> None:
    async with asyncio.timeout(DEADLINE_S), client(chat) as caller:
        asked = asyncio.create_task(
            caller.chat.completions.create(model="slow", messages=asking("one"), user="whole")
        )
        async with httpx2.AsyncClient(headers=chat.headers, verify=False) as http:
            await http.get(f"{chat.url}/started/whole", timeout=DEADLINE_S)
        asked.cancel()
        assert await ending(chat, "whole") == {"ending": "cancelled", "words": 0}
    await asyncio.to_thread(chat.settled)


async def test_a_stream_that_breaks_is_an_error_not_an_end(chat: Application) -> None:
    async with asyncio.timeout(DEADLINE_S), client(chat) as caller:
        stream = await caller.chat.completions.create(
            model="cut", messages=asking("one two"), stream=True, user="cut"
        )
        assert (await anext(stream)).choices[0].delta.content == "one"
        await open_gate(chat, "cut")
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            await anext(stream)


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        pytest.param("busy", openai.RateLimitError, 429, id="too-many-requests"),
        pytest.param("broken", openai.InternalServerError, 500, id="server-error"),
        pytest.param("unknown", openai.NotFoundError, 404, id="not-found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_servers_errors_are_its_own(
    chat: Application, model: str, kind: type[openai.APIStatusError], status: int, stream: bool
) -> None:
    async with client(chat) as caller:
        with pytest.raises(kind) as refused:
            await caller.chat.completions.create(
                model=model, messages=asking("hello"), stream=stream
            )
    assert refused.value.status_code == status
    assert refused.value.code == model
    assert refused.value.type == "peer_error"
    headers = refused.value.response.headers
    assert (headers["Retry-After"], headers["X-Mine"]) == ("7", model)
    assert "X-Tidegate-Error" not in headers


async def test_a_whole_answer_and_what_the_server_was_told(chat: Application) -> None:
    async with client(chat) as caller:
        answer = await caller.chat.completions.create(model="m", messages=asking("hello there"))
    assert answer.choices[0].message.content == "hello there"
    seen = answer.model_extra["seen"] if answer.model_extra else {}
    # The key is Tidegate's token: it stays with the gateway.
    assert "authorization" not in seen
    assert chat.up.token not in str(seen)
    assert seen["x-datarobot-user-id"]
    assert seen["user-agent"].startswith("AsyncOpenAI")


async def test_a_wrong_key_is_the_clients_own_error_class(chat: Application) -> None:
    async with client(chat, api_key="tg_wrong") as caller:
        with pytest.raises(openai.AuthenticationError) as refused:
            await caller.chat.completions.create(model="m", messages=asking("hello"))
    assert refused.value.response.headers["X-Tidegate-Error"] == "unauthenticated"


async def test_a_large_prompt_arrives_whole(chat: Application) -> None:
    text = "word " * 400_000
    async with client(chat) as caller:
        answer = await caller.chat.completions.create(model="m", messages=asking(text))
    assert answer.choices[0].message.content == text.strip()


def test_the_blocking_client_streams_as_well(chat: Application) -> None:
    with openai.OpenAI(
        base_url=f"{chat.url}/v1", api_key=chat.up.token, max_retries=0, timeout=DEADLINE_S
    ) as caller:
        stream = caller.chat.completions.create(
            model="m", messages=asking("one two three"), stream=True, user="blocking"
        )
        heard = []
        for piece in stream:
            if content := piece.choices[0].delta.content:
                heard.append(content)
                asyncio.run(open_gate(chat, "blocking"))
    assert heard == ["one", "two", "three"]
