"""MCP, asked by the SDK's own client: in memory, and over streamable HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from rag import Document, Pipeline
from rag.pipeline import Snapshot
from rag.retrievers import BM25
from rag.serving import Limits, create_app
from rag.serving.mcp_server import make_mcp_server
from rag.serving.service import Service
from tests.served import serving

DOCUMENTS = [
    Document("a", "apples are red", {"year": 1990, "title": "Fruit", "url": "https://example.org/a"}),
    Document("b/../c", "bananas are yellow", {"year": 2001}),
]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(retriever=BM25()).fit(DOCUMENTS)


@pytest.fixture
def service(pipeline):
    service = Service(Snapshot(pipeline), Limits())
    yield service
    service.close()


async def test_what_an_agent_is_told(service):
    async with Client(make_mcp_server(service)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == ["fetch", "search"]  # no answers: nothing writes any
        assert tools["search"].input_schema["required"] == ["query"]
        assert sorted(tools["search"].input_schema["properties"]) == ["filter", "query", "top_k"]
        assert all(
            tool.description and tool.output_schema and tool.annotations.read_only_hint for tool in tools.values()
        )
        assert "schema://fields" in client.instructions


async def test_searching_and_fetching(service):
    async with Client(make_mcp_server(service)) as client:
        content = (await client.call_tool("search", {"query": "apples", "top_k": 1})).structured_content
        assert content["results"] == [
            {
                "id": "a",
                "title": "Fruit",
                "text": "apples are red",
                "url": "https://example.org/a",
                "score": pytest.approx(0.277, abs=0.001),
                "start": 0,
                "end": 14,
                "metadata": DOCUMENTS[0].metadata,
            }
        ]
        fetched = (await client.call_tool("fetch", {"id": "b/../c"})).structured_content
        assert (fetched["text"], fetched["title"]) == ("bananas are yellow", "b/../c")
        filtered = await client.call_tool("search", {"query": "apples yellow", "filter": {"year": {"gte": 2000}}})
        [hit] = json.loads(filtered.content[0].text)["results"]
        assert (await client.read_resource(hit["url"])).contents[0].text == "bananas are yellow"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"query": ""}, "query '1' has no text"),
        ("search", {"query": "a", "topk": 1}, "unknown argument 'topk' of search (valid: query, top_k, filter)"),
        ("search", {"query": "a", "top_k": 0}, "greater than or equal to 1"),
        ("search", {"query": "a", "top_k": 5000}, "top_k: at most 1000"),
        ("search", {"query": "a", "filter": {"yeer": 1}}, "did you mean 'year'?"),
        ("search", {"query": "a", "filter": "year"}, "valid dictionary"),
        ("search", {}, "Field required"),
        ("search", {"query": "a" * 10_001}, "at most 10,000 characters"),
        ("fetch", {"id": "nobody"}, "no such document: 'nobody'"),
    ],
)
async def test_mistakes_are_tool_errors(service, tool, arguments, said):
    async with Client(make_mcp_server(service)) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert said in result.content[0].text


async def test_errors_of_the_server_tell_nothing(service, monkeypatch):
    def broken(*arguments: object) -> None:
        raise ValueError("password=hunter2 in /srv/secret")

    monkeypatch.setattr(BM25, "retrieve", broken)
    async with Client(make_mcp_server(service)) as client:
        result = await client.call_tool("search", {"query": "apples"})
    assert result.is_error
    assert "hunter2" not in result.content[0].text
    assert "incident" in result.content[0].text


async def test_resources(service):
    async with Client(make_mcp_server(service)) as client:
        fields = json.loads((await client.read_resource("schema://fields")).contents[0].text)
        assert [field["name"] for field in fields["fields"]] == ["year", "title", "url"]
        for uri, text in [("document://a", "apples are red"), ("document://b%2F..%2Fc", "bananas are yellow")]:
            assert (await client.read_resource(uri)).contents[0].text == text
        for uri in (
            "document://nobody",
            "document:///etc/passwd",
            "document://..%2F..%2Fetc%2Fpasswd",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError, match=r"no such document|Unknown resource|Resource .* not found"):
                await client.read_resource(uri)


async def test_over_http_with_a_key(tmp_path: Path):
    import asyncio

    import httpx
    from mcp.client.streamable_http import streamable_http_client

    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path / "index")

    def ask_without_a_key(url: str) -> int:
        return httpx.post(f"{url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code

    def send_what_is_none(url: str) -> set[bool]:
        accept = "application/json, text/event-stream"
        headers = {"Authorization": "Bearer reader-secret", "Content-Type": "application/json", "Accept": accept}
        bodies = [b"", b"{", b"[]", b"null", b"[" * 5000, b'{"jsonrpc": "2.0", "id": 1, "method": "no/such"}', b"\xff"]
        bodies.append(b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/call", "params": {"name": 5}}')
        calls = [("fetch", {"id": "\ud800"}), ("search", {"query": "\ud800"}), ("search", {"\ud800": 1})]
        for name, arguments in calls:
            params = {"name": name, "arguments": arguments}
            bodies.append(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode())
        answers = [httpx.post(f"{url}/mcp", content=body, headers=headers) for body in bodies]
        return {answer.status_code < 500 and "Traceback" not in answer.text for answer in answers}

    with serving(create_app(tmp_path / "index", keys=["read:reader-secret"], mcp=True)) as url:
        assert await asyncio.to_thread(ask_without_a_key, url) == 401
        assert await asyncio.to_thread(send_what_is_none, url) == {True}
        import httpx2

        headers = {"Authorization": "Bearer reader-secret"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            outcome = await client.call_tool("search", {"query": "apples"})
            assert outcome.structured_content["results"][0]["id"] == "a"
            assert (await client.call_tool("fetch", {"id": "nobody"})).is_error
