"""The examples run: an agent, an application, a nightly job, a container's files."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from starlette.testclient import TestClient

from rag import Document, Pipeline
from rag.pipeline import Snapshot
from rag.retrievers import BM25
from rag.serving import Limits
from tests.chat_server import chat_server

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = [Document("returns", "Send it back within 30 days."), Document("warranty", "Covered for two years.")]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calling(name: str, arguments: dict) -> dict:
    """A model's wish to call a tool, in OpenAI's protocol."""
    call = {"id": f"call-{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {
        "raw": json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
    }


async def test_an_agent_searches_and_fetches():
    from langchain_openai import ChatOpenAI
    from mcp import Client

    from rag.serving.mcp_server import make_mcp_server
    from rag.serving.service import Service

    def model(request: dict, number: int) -> dict:
        if number == 0:
            return calling("search", {"query": "send back"})
        said = request["messages"][-1]["content"]
        if number == 1:
            return calling("fetch", {"id": json.loads(said)["results"][0]["id"]})
        return {"body": f"It says: {json.loads(said)['text']}"}

    service = Service(Snapshot(Pipeline(retriever=BM25()).fit(DOCUMENTS)), Limits())
    with chat_server(model) as server:
        chat = ChatOpenAI(model="m", base_url=server.url, api_key="none")
        async with Client(make_mcp_server(service)) as client:
            answer = await example("agent").ask(chat, client, "how long can I send it back?")
        assert [tool["function"]["name"] for tool in server.requests[0]["tools"]] == ["search", "fetch"]
        await chat.root_async_client.close()
        chat.root_client.close()
    service.close()
    assert answer == "It says: Send it back within 30 days."


def test_an_application_of_one_s_own(tmp_path, monkeypatch):
    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path / "index")
    monkeypatch.setenv("RAG_INDEX", str(tmp_path / "index"))
    with TestClient(example("application").app) as client:
        assert client.get("/hello").json() == {"documents": "/documents/docs"}
        [result] = client.post("/documents/search", json={"query": "send back"}).json()["results"]
        assert result["hits"][0]["id"] == "returns"
        assert client.get("/documents/docs").status_code == 200


def test_the_nightly_job_is_bash():
    subprocess.run(["bash", "-n", EXAMPLES / "nightly.sh"], check=True)


@pytest.mark.slow
def test_the_nightly_job_keeps_what_is_good_and_takes_back_what_is_not(tmp_path):
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    documents = [{"id": f"d{n}", "text": f"word{n} text"} for n in range(10)]
    (data / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    (data / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": f"word{n}"}) + "\n" for n in range(9))
    )
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in range(9))]
    (data / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    index, source = tmp_path / "index", tmp_path / "source.jsonl"
    Pipeline(retriever=BM25()).fit([Document(document["id"], document["text"]) for document in documents]).save(index)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def night(texts: list[dict], floor: str) -> subprocess.CompletedProcess[str]:
        source.write_text("".join(json.dumps(text) + "\n" for text in texts))
        command = [EXAMPLES / "nightly.sh", source, index, data, floor]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    good = night([*documents, {"id": "new", "text": "another text"}], "0.9")
    assert good.returncode == 0, good.stderr
    assert Pipeline.load(index).corpus.n_alive == 11
    worse = [{**document, "text": "nothing of it"} for document in documents]
    bad = night([*worse, {"id": "new", "text": "another text"}], "0.9")
    assert bad.returncode == 1
    assert "below 0.9: going back" in bad.stderr
    assert Pipeline.load(index, verify=True).search("word3")[0].document.id == "d3"


def test_the_files_of_a_container():
    from ruamel.yaml import YAML

    from rag.cli.serve import serve

    lines = [line for line in (EXAMPLES / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    instructions = [line.split()[0] for line in lines]
    assert set(instructions) <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}
    assert instructions[0] == "FROM"
    for line in lines:
        if match := re.search(r"(?:ENTRYPOINT|CMD) (\[.*\])$", line):
            command = json.loads(match[1])
            if command[0] == "rag":
                options = command
    compose = YAML(typ="safe").load((EXAMPLES / "compose.yaml").read_text())
    assert sorted(compose["services"]) == ["search", "traces"]
    search = compose["services"]["search"]
    assert (EXAMPLES / search["build"]["context"] / search["build"]["dockerfile"]).resolve() == EXAMPLES / "Dockerfile"
    import inspect

    known = {name.replace("_", "-") for name in inspect.signature(serve).parameters}
    for option in [*options, *search["command"]]:
        assert not option.startswith("--") or option[2:] in known
