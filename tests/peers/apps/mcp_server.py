"""An MCP server over streamable HTTP, made with the `mcp` package. Sessions live in the process."""

import asyncio
import os
from collections import defaultdict

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

server = MCPServer("tides")
gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
endings: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


@server.tool()
def replica() -> int:
    """Which process this is."""
    return os.getpid()


@server.tool()
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@server.tool()
def refuse() -> str:
    """Fails."""
    raise ValueError("no such tide")


@server.tool()
async def count(steps: int, gate: str, ctx: Context) -> str:
    """Reports progress; each report but the first waits until the caller has asked for it."""
    try:
        for step in range(1, steps + 1):
            if step > 1:
                await gates[gate].acquire()
            await ctx.report_progress(step, steps, f"step {step}")
    finally:
        endings[gate].set()
    return f"{steps} steps"


@server.tool()
async def let_through(gate: str) -> str:
    """Let one more report through a gate."""
    gates[gate].release()
    return "open"


@server.tool()
async def ended(gate: str) -> str:
    """Wait until the counting behind this gate has ended, in whatever way."""
    await endings[gate].wait()
    return "ended"


@server.resource("tide://{place}")
def tide(place: str) -> str:
    """A text, not a small one."""
    return f"High water in {place}. " * 10_000


app = server.streamable_http_app(
    # Host and Origin are those of the invoke URL, which the server cannot know.
    transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
)
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
