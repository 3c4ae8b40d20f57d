"""An agent that searches documents through MCP: ``python examples/agent.py INDEX "question"``.

The language model is any chat model of LangChain that can call tools; ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` name a
server that speaks OpenAI's protocol. Needs the extras ``mcp`` and ``openai``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

STEPS = 6
"""Rounds of tool calls at most."""


async def ask(model: Any, client: Client, question: str) -> str:
    """What the model answers after it has used the tools as often as it wanted to."""
    tools = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
        }
        for tool in (await client.list_tools()).tools
    ]
    messages: list[BaseMessage] = [SystemMessage(client.instructions or ""), HumanMessage(question)]
    for _ in range(STEPS):
        said = await model.bind_tools(tools).ainvoke(messages)
        messages.append(said)
        if not said.tool_calls:
            break
        for call in said.tool_calls:
            result = await client.call_tool(call["name"], call["args"])
            text = "\n".join(part.text for part in result.content if part.type == "text")
            status = "error" if result.is_error else "success"
            messages.append(ToolMessage(text, tool_call_id=call["id"], status=status))
    return str(messages[-1].text)


async def main(index: str, question: str) -> None:
    model = ChatOpenAI(model=os.environ.get("RAG_CHAT_MODEL", "gpt-5-mini"))
    server = StdioServerParameters(command="rag", args=["serve", index, "--mcp", "stdio"], env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        print(await ask(model, client, question))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
