"""The official `mcp` package against the documentation's MCP server.

Arguments: the server's address, how to connect ("auto", or "legacy" for the handshake of before), and calls as JSON: a list of
`[tool, arguments]`. Prints one JSON object: what the server says of itself, its tools, and of each call what it answered, or the
error that the client was told.
"""

import asyncio
import json
import sys

from mcp import Client
from mcp.shared.exceptions import MCPError


async def call(client, tool, arguments):
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return {"refused": error.error.message, "code": error.error.code}
    text = "\n".join(block.text for block in result.content)
    return {"text": text, "failed": bool(result.is_error), "data": result.structured_content}


async def main(url, mode, calls):
    async with Client(url, mode=mode, read_timeout_seconds=30) as client:
        tools = (await client.list_tools()).tools
        said = {
            "server": client.server_info.name,
            "protocol": str(client.protocol_version),
            "instructions": client.instructions,
            "tools": {tool.name: {"description": tool.description, "schema": tool.input_schema} for tool in tools},
            "calls": [await call(client, tool, arguments) for tool, arguments in calls],
        }
    print(json.dumps(said))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
