"""A language model's chat endpoint as OpenAI's clients know it, with a gate before every word.

POST /v1/chat/completions   with `stream`: one chunk a word of the prompt; each but the first waits
                            until the caller has asked for it. `user` names the stream.
POST /gate/{stream}         lets the next word of that stream through
GET  /started/{stream}      waits until `slow` computes
GET  /ending/{stream}       waits for its end: {"ending": "done", "words": 2}, or "cancelled"

The model decides what else happens: `busy` is a 429 with Retry-After, `broken` a 500, `unknown`
a 404, `cut` dies after the first word, `slow` has a gate before the first word too,
and without `stream` computes until the caller has gone.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

app = FastAPI()
gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
started: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
endings: defaultdict[str, asyncio.Future[dict[str, Any]]] = defaultdict(
    lambda: asyncio.get_running_loop().create_future()
)

ERRORS = {"busy": (429, "slow down"), "broken": (500, "out of order"), "unknown": (404, "no such")}


def chunk(model: str, delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [choice],
    }  # fmt: skip
    return f"data: {json.dumps(body)}\n\n"


async def gone(request: Request) -> None:
    """Returns when the client has: what model servers do to stop computing."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def opened(stream: str, left: asyncio.Task[None]) -> bool:
    """Wait for the gate; False when the client left instead."""
    gate = asyncio.create_task(gates[stream].acquire())
    await asyncio.wait({gate, left}, return_when=asyncio.FIRST_COMPLETED)
    return gate.done() or not gate.cancel()


async def words_of(request: Request, asked: dict[str, Any]) -> AsyncIterator[str]:
    model, stream, words = asked["model"], asked.get("user", ""), asked["messages"][-1]["content"]
    left = asyncio.create_task(gone(request))
    sent = 0
    ending = "cancelled"
    try:
        for word in words.split():
            if (sent or model == "slow") and not await opened(stream, left):
                return
            if sent and model == "cut":
                raise RuntimeError("the model fell over")
            yield chunk(model, {"role": "assistant", "content": word})
            sent += 1
        yield chunk(model, {}, "stop")
        yield "data: [DONE]\n\n"
        ending = "done"
    finally:
        left.cancel()
        endings[stream].set_result({"ending": ending, "words": sent})


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    asked = await request.json()
    model, words = asked["model"], asked["messages"][-1]["content"].split()
    if model in ERRORS:
        status, message = ERRORS[model]
        error = {"message": message, "type": "peer_error", "param": None, "code": model}
        return JSONResponse({"error": error}, status, {"Retry-After": "7", "X-Mine": model})
    if asked.get("stream"):
        return StreamingResponse(words_of(request, asked), media_type="text/event-stream")
    if model == "slow":
        started[asked["user"]].set()
        await gone(request)
        endings[asked["user"]].set_result({"ending": "cancelled", "words": 0})
    message = {"role": "assistant", "content": " ".join(words)}
    usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 0}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse(
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
         "choices": [choice], "usage": usage, "seen": dict(request.headers)}
    )  # fmt: skip


@app.post("/gate/{stream}")
async def open_gate(stream: str) -> None:
    gates[stream].release()


@app.get("/started/{stream}")
async def started_with(stream: str) -> None:
    await started[stream].wait()


@app.get("/ending/{stream}")
async def ending_of(stream: str) -> dict[str, Any]:
    return await endings[stream]


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
