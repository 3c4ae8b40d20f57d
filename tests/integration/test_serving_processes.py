"""A server under fire: real processes and sockets, killed, slow and idle."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from rag import Document, Pipeline
from rag.retrievers import BM25
from rag.serving import Limits, create_app
from tests.served import serving

HEAD = b"%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
RAG = str(Path(sys.executable).parent / "rag")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [Document(f"d{n}", f"word{n} common", {"part": n % 2}) for n in range(20)]
    Pipeline(retriever=BM25()).fit(documents).save(tmp_path / "index")
    return tmp_path / "index"


def put(url: str, *ids: str, text: str = "sesame", **options: object) -> httpx.Response:
    documents = [{"id": id, "text": f"{text} {id}"} for id in ids]
    return httpx.put(f"{url}/documents", json={"documents": documents}, timeout=60, **options)


def searched(url: str, query: str, top_k: int = 1000) -> tuple[str, list[str]]:
    answer = httpx.post(f"{url}/search", json={"query": query, "top_k": top_k}, timeout=60)
    assert answer.status_code == 200, answer.text
    [result] = answer.json()["results"]
    return answer.json()["generation"], [hit["id"] for hit in result["hits"]]


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``rag serve`` in a process of its own."""
    command = [RAG, "serve", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = next((line for line in server.stderr if "served on" in line), "")
            assert line, "it ended"
            yield server, line.split("served on ")[1].split()[0]
        finally:
            server.kill()


# -- clients ----------------------------------------------------------------------------------------------------------


def raw(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answered(connection: socket.socket) -> bytes:
    said = b""
    while chunk := connection.recv(65536):
        said += chunk
    return said


def test_slow_and_idle_clients_hold_up_nobody(folder):
    limits = Limits(header_timeout=0.5, body_timeout=0.5)
    with serving(create_app(folder, limits=limits), limits) as url:
        idle = [raw(url) for _ in range(200)]
        slow_head = raw(url)
        slow_head.sendall(b"POST /search HTTP/1.1\r\nHost: x\r\n")
        slow_body = raw(url)
        slow_body.sendall(
            b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        start = time.monotonic()
        assert searched(url, "word3")[1] == ["d3"]
        assert time.monotonic() - start < 5
        for number in range(8):  # a byte now and then keeps no connection
            time.sleep(0.1)
            try:
                slow_head.sendall(b"X-%d: y\r\n" % number)
            except OSError:
                break
        with suppress(ConnectionError):
            assert answered(slow_head) == b""
        slow_head.close()
        said = answered(slow_body)
        slow_body.close()
        assert said.startswith(b"HTTP/1.1 408")
        assert b"urn:rag:problem:slow" in said
        for connection in idle:
            assert answered(connection) == b""
            connection.close()


def test_an_answer_waits_for_nothing(folder):
    """Not for the 40 ms after which a receiver acknowledges what Nagle's algorithm waits for."""
    with serving(create_app(folder)) as url, httpx.Client() as client:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            client.post(f"{url}/search", json={"query": "word3"})
            times.append(time.perf_counter() - start)
        assert min(times) < 0.03


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_not_read_to_its_end(folder, chunked):
    with serving(create_app(folder)) as url:
        connection = raw(url)
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 104857600"
        connection.sendall(
            b"PUT /documents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length + b"\r\n\r\n"
        )
        sent = 0
        try:
            while sent < 100 << 20:
                block = b" " * (1 << 20)
                connection.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
        except OSError:
            pass
        connection.close()
        assert sent < 50 << 20
        assert searched(url, "word3")[1] == ["d3"]


def test_a_client_that_goes_away_is_not_computed_for(folder, monkeypatch):
    going, asked = threading.Event(), []
    retrieve = BM25.retrieve

    def slow(self: BM25, batch: object) -> object:
        asked.extend(query.text for query in batch.queries)
        assert going.wait(20)
        return retrieve(self, batch)

    app = create_app(folder)
    monkeypatch.setattr(BM25, "retrieve", slow)
    with serving(app) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(searched, url, "word1")
        while not asked:
            time.sleep(0.01)
        body = json.dumps({"query": "word2"}).encode()
        gone = raw(url)
        gone.sendall(HEAD % b"POST /search" + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        batcher = app.state.service.batcher
        while not len(batcher):
            time.sleep(0.01)
        gone.close()
        while any(not waiting.future.cancelled() for waiting in list(batcher._queue)):
            time.sleep(0.01)
        last = pool.submit(searched, url, "word3")
        time.sleep(0.1)
        going.set()
        assert (first.result(20)[1], last.result(20)[1]) == (["d1"], ["d3"])
        assert 'rag_requests_total{method="POST",route="/search",status="499"} 1.0' in httpx.get(f"{url}/metrics").text
    assert asked == ["word1", "word3"]


def test_updates_while_clients_ask(folder):
    """No failed answer, none that is older than what was written before the question, none of two generations."""
    written, failures = [0], []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            before = written[0]
            _, ids = searched(url, "sesame")
            numbers = sorted(int(id[1:]) for id in ids)
            if numbers != list(range(len(numbers))) or len(numbers) < before:
                failures.append((before, numbers))

    with serving(create_app(folder)) as url:
        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for number in range(12):
            assert put(url, f"s{number}").status_code == 200
            written[0] = number + 1
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert len(Pipeline.load(folder, verify=True).search("sesame")) == 12


def test_two_writers_lose_nothing(folder):
    with serving(create_app(folder)) as url:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: put(url, f"s{number}"), range(8)))
            with Pipeline.editing(folder) as pipeline:
                pipeline.add([Document("nightly", "sesame nightly")])
        assert {answer.status_code for answer in answers} == {200}
        put(url, "last")
        assert sorted(searched(url, "sesame")[1]) == sorted([*(f"s{n}" for n in range(8)), "nightly", "last"])


def test_following_what_other_processes_write(folder):
    with serving(create_app(folder, follow=True)) as url:
        with Pipeline.editing(folder, keep=1) as pipeline:
            pipeline.add([Document("new", "sesame")])
        deadline = time.monotonic() + 20
        while searched(url, "sesame")[1] != ["new"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert searched(url, "sesame")[1] == ["new"]
        with Pipeline.editing(folder, keep=1) as pipeline:
            pipeline.add([Document("newer", "sesame")])
        newest = folder / json.loads((folder / "manifest.json").read_text())["data"]
        (newest / "corpus.arrow").write_bytes(b"damaged")
        while not httpx.get(f"{url}/ready").json()["refused"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert httpx.get(f"{url}/ready").json()["refused"]
        assert str(folder) not in httpx.get(f"{url}/ready").text
        assert "rag_generations_refused 1.0" in httpx.get(f"{url}/metrics").text
        assert searched(url, "sesame")[1] == ["new"]


# -- processes --------------------------------------------------------------------------------------------------------


def test_rag_serve_from_the_command_line(folder):
    env = {**os.environ, "SOME_KEY": "read:reader-secret"}
    command = [RAG, "serve", str(folder), "--port", "0", "--key-env", "SOME_KEY", "--mcp", "http"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as server:
        line = next(line for line in server.stderr if "served on" in line)
        url = line.split("served on ")[1].split()[0]
        assert httpx.get(f"{url}/health").json() == {"status": "alive"}
        assert httpx.post(f"{url}/search", json={"query": "word1"}).status_code == 401
        headers = {"Authorization": "Bearer reader-secret"}
        assert httpx.post(f"{url}/search", json={"query": "word1"}, headers=headers).status_code == 200
        assert put(url, "x", headers=headers).status_code == 403
        server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
        assert server.wait(30) in (0, -signal.SIGTERM)
        assert "Traceback" not in rest


@pytest.mark.slow
def test_killed_in_the_middle_of_an_upsert(folder):
    """What was answered is there; what was not is there as a whole or not at all."""
    rng = random.Random(3)
    answered_ids: list[str] = []
    for round in range(5):
        ids = [f"r{round}-{n}" for n in range(200)]
        with process(folder) as (server, url):
            assert put(url, f"sure{round}").status_code == 200
            answered_ids.append(f"sure{round}")
            killer = threading.Timer(rng.uniform(0.0, 0.25), server.kill)
            killer.start()
            try:
                if put(url, *ids).status_code == 200:
                    answered_ids += ids
            except httpx.HTTPError:
                pass
            killer.join()
        there = set(Pipeline.load(folder, verify=True).corpus.ids())
        assert there >= set(answered_ids)
        assert len(there.intersection(ids)) in (0, len(ids))
        answered_ids += sorted(there.intersection(ids) - set(answered_ids))


@pytest.mark.slow
def test_answers_by_token(tmp_path):
    """From a real server to a real client, which goes away while another one reads to the end."""
    from rag.summarizers import ChatModel, Generate
    from tests.chat_server import asked, chat_server

    def reply(request: dict, number: int) -> dict:
        return {"body": "word " * (100_000 if "forever" in asked(request) else 20), "pause": 0.01}

    def ask(url: str, query: str, enough: int) -> list[str]:
        lines: list[str] = []
        headers = {"Accept": "text/event-stream"}
        with httpx.stream("POST", f"{url}/answer", json={"query": query}, headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                lines += [line.removeprefix("event: ")] if line.startswith("event: ") else []
                if len(lines) == enough:
                    break
        return lines

    with chat_server(reply) as chat:
        generate = Generate(writer=ChatModel("tiny", base_url=chat.url, max_tokens=1000))
        pipeline = Pipeline(retriever=BM25(), stages=[generate]).fit([Document("a", "word")])
        pipeline.save(tmp_path / "index")
        with process(tmp_path / "index") as (_, url), ThreadPoolExecutor(2) as pool:
            whole, part = pool.submit(ask, url, "word", 1000), pool.submit(ask, url, "word forever", 8)
            assert part.result(60) == ["found"] + ["delta"] * 7
            assert (whole.result(60)[0], whole.result()[-1], len(whole.result()) > 10) == ("found", "answer", True)
            deadline = time.monotonic() + 20
            while not chat.left and time.monotonic() < deadline:
                time.sleep(0.01)
            assert chat.left == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False).returncode:
        pytest.skip("a small disk needs the right to mount it")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full(folder, small_disk):
    shutil.copytree(folder, small_disk / "index")
    with process(small_disk / "index") as (_, url):
        refused = put(url, *(f"s{n}" for n in range(500)), text="sesame " * 1000)
        assert (refused.status_code, refused.json()["type"]) == (507, "urn:rag:problem:disk-full")
        assert str(small_disk) not in refused.text
        assert searched(url, "word3")[1] == ["d3"]
        assert put(url, "small").status_code == 200
        assert searched(url, "sesame")[1] == ["small"]
    assert len(Pipeline.load(small_disk / "index", verify=True).search("sesame")) == 1


@pytest.mark.slow
def test_a_thousand_idle_connections(folder):
    with process(folder) as (_, url):
        idle = [raw(url) for _ in range(1000)]
        assert searched(url, "word3")[1] == ["d3"]
        for connection in idle:
            connection.close()


@pytest.mark.slow
async def test_mcp_over_standard_input_and_output(folder):
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    parameters = StdioServerParameters(command=RAG, args=["serve", str(folder), "--mcp", "stdio"], env=dict(os.environ))
    async with Client(stdio_client(parameters)) as client:
        result = await client.call_tool("search", {"query": "word7"})
        assert [hit["id"] for hit in result.structured_content["results"]] == ["d7"]
        assert (await client.call_tool("fetch", {"id": "nobody"})).is_error
