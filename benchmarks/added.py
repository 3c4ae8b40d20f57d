"""What feedback, memory and a learned ranking add to a hybrid for one question: CPU milliseconds beside the encoder.

    python benchmarks/added.py DATA [--set nfcorpus] [--judged 1000] [--questions 100] [--store DIR]

DATA has folders in BEIR's layout. Questions are asked one at a time, their vectors made before the clock starts; CPU
time of the process, median and 90th percentile. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from wins import MODEL

from rag import Pipeline, QueryBatch, Store, Training
from rag.eval.datasets.load import load_dataset

WARM = 20
"""Questions asked before those that are measured."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", default="nfcorpus")
    parser.add_argument("--judged", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    dataset = load_dataset(given.data / given.set)
    train, dev, test = (dataset.split(name) for name in ("train", "dev", "test"))
    chosen = np.random.default_rng(0).permutation(len(train.queries))[: given.judged]
    queries = [train.queries[row] for row in chosen]
    training = Training(queries, {q.id: train.qrels[q.id] for q in queries}, Training(dev.queries, dev.qrels))
    print("| pipeline | CPU ms, p50 | p90 | added, p50 |")
    print("|---|---|---|---|")
    base = None
    for name, retriever, stages in ways():
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever, "stages": stages})
        pipeline.fit(dataset.corpus, training=training, store=store)
        spent = [asked(pipeline, query, store) for query in test.queries[: WARM + given.questions]][WARM:]
        middle, high = np.percentile(spent, [50, 90]) * 1e3
        base = middle if base is None else base
        print(f"| {name} | {middle:.2f} | {high:.2f} | {middle - base:+.2f} |", flush=True)


def ways() -> list[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    embedder = {"type": "sentence_transformer", "model": MODEL}
    vectors = {"type": "dense", "embedder": embedder, "index": {"type": "flat"}}
    hybrid = {"type": "hybrid", "retrievers": [{"type": "bm25"}, vectors]}
    like = {"type": "query_memory", "embedder": embedder}
    cover = like | {"score": "cover", "retriever": hybrid}
    memories: list[dict[str, Any]] = [{"type": "query_memory"}, {"type": "query_memory", "score": "cover"}]
    feedback: list[dict[str, Any]] = [{"type": "feedback"}]

    def learned(*sources: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "learned_rank", "sources": list(sources)}]

    return [
        ("hybrid", hybrid, []),
        ("feedback", {"type": "feedback", "target": hybrid}, []),
        ("memory, like", {"type": "hybrid", "retrievers": [hybrid, like]}, []),
        ("memory, cover", {"type": "hybrid", "retrievers": [hybrid, cover]}, []),
        ("learned rank of the two lists", hybrid, learned()),
        ("learned rank with feedback", hybrid, learned(*feedback)),
        ("learned rank with feedback and memories", hybrid, learned(*feedback, *memories)),
    ]


def asked(pipeline: Pipeline, query: Any, store: Store | None) -> float:
    batch = QueryBatch([query], store=store)
    for _, part in pipeline.spec.walk():
        if part.kind == "embedder":
            batch.embeddings(part)  # type: ignore[arg-type]
    batch.store = None
    start = time.process_time()
    pipeline.run(batch)
    return time.process_time() - start


if __name__ == "__main__":
    main()
