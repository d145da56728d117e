"""A small MCP server on the official Python SDK, whichever of its generations is installed.

    server.py                on stdin and stdout
    server.py http PORT      streamable HTTP on 127.0.0.1:PORT, at /mcp
"""

import os
import sys

import anyio

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    generation = 2
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp.exceptions import ToolError

    generation = 1

port = int(sys.argv[2]) if sys.argv[1:2] == ["http"] else None
if generation == 2:
    server = MCPServer("python-2")
else:
    server = MCPServer("python-1", host="127.0.0.1", port=port or 8000)


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers"""
    return a + b


@server.tool()
def variable(name: str) -> str:
    """Tells an environment variable of this process"""
    return os.environ.get(name, "(not set)")


@server.tool()
def process() -> int:
    """Tells the number of this process"""
    return os.getpid()


@server.tool()
def fail(why: str) -> str:
    """Fails"""
    raise ToolError(why)


@server.tool()
async def wait(folder: str) -> str:
    """Waits for ever; leaves a file when it begins and another one when it is cancelled"""
    open(os.path.join(folder, "began"), "w").close()
    try:
        await anyio.sleep_forever()
    finally:
        open(os.path.join(folder, "cancelled"), "w").close()


@server.tool()
async def grow(ctx: Context) -> str:
    """Gets this server one more tool"""

    def grown() -> str:
        """Is there since it has grown"""
        return "grown"

    server.add_tool(grown)
    await ctx.session.send_tool_list_changed()
    return "done"


if port is None:
    server.run("stdio")
elif generation == 2:
    server.run("streamable-http", host="127.0.0.1", port=port)
else:
    server.run("streamable-http")
