"""Whether a walk from the best candidates finds more than the candidates.

    python benchmarks/graph_rank.py DATA [--sets nfcorpus,scifact,locomo_sessions,python-reference] [--store DIR]

DATA has folders in BEIR's layout; ``python-reference`` stands for the questions of ``decomposed.py`` that need two
pages of which one refers to the other. Where there is no dev split, it is 200 of the training questions. A hybrid of
BM25 and MiniLM (over chunks of 200 tokens, but for the abstracts of nfcorpus and scifact), with and without
``graph_rank`` behind it, its weights chosen on dev by nDCG@10. Beside it a simple way to find what is near good
candidates, ``feedback`` (RM3 and Rocchio), with its weights chosen on dev too. Paired differences to the hybrid
with 95 % bootstrap intervals. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from decomposed import CHUNKS, HYBRID, _difference, two_in_one, whole

from rag import Pipeline, QueryBatch, Store
from rag.eval.datasets.base import Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

MEASURES = ["nDCG@10", "R@100"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact,locomo_sessions,python-reference")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | pipeline | nDCG@10 | to the hybrid | R@100 | to the hybrid | whole set in 10 | ms a question, CPU |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        measure(name, given.data, store)


def measure(name: str, data: Path, store: Store | None) -> None:
    dataset = load_dataset(name if name == "python-reference" else data / name)
    test = dataset.split("test")
    dev = dataset.split("dev") if "dev" in dataset.splits else sampled(dataset.split("train"), 200)
    if name == "python-reference":
        dev, test = two_in_one(dataset, dev), two_in_one(dataset, test)
    measures = parse_measures(MEASURES)

    def run(retriever: dict[str, Any], stages: list[dict[str, Any]], split: Any) -> Any:
        config: dict[str, Any] = {"type": "pipeline", "retriever": retriever, "stages": stages}
        if name not in ("nfcorpus", "scifact"):
            config["chunker"] = CHUNKS
        pipeline = Pipeline.from_config(config).fit(dataset.corpus, store=store)
        batch = QueryBatch(split.queries)
        for _, part in pipeline.spec.walk():
            if part.kind == "embedder":
                batch.embeddings(part)  # what is timed is searching
        start = time.process_time()
        table = pipeline.run(batch)
        spent = (time.process_time() - start) / len(split.queries)
        run = as_run(split.queries, table, pipeline.corpus)
        scores = per_query(measures, split.qrels, run)
        values = [np.array([scores[measure][query.id] for query in split.queries]) for measure in MEASURES]
        return *values, whole(run, split), spent

    base = run(HYBRID, [], test)

    def row(label: str, values: Any, *, first: bool = False) -> None:
        cells = [
            f"{v.mean():.3f} | {'' if first else _difference(v, b)}" for v, b in zip(values[:2], base, strict=False)
        ]
        print(
            f"| {name} | {label} | {' | '.join(cells)} | {values[2].mean():.3f} | {values[3] * 1e3:.1f} |", flush=True
        )

    row(f"hybrid, {len(test.queries)} questions", base, first=True)
    walks = [
        [{"type": "graph_rank", "relevance_weight": weight, "restart": restart, "hubs": hubs, "seeds": seeds}]
        for weight, restart, hubs, seeds in itertools.product((0.5, 0.8), (0.3, 0.6), (0.5,), (5, 20))
    ]
    best = max(walks, key=lambda stages: run(HYBRID, stages, dev)[0].mean())
    shown = ", ".join(f"{key} {value:g}" for key, value in best[0].items() if key != "type")
    row(f"graph_rank, {shown}", run(HYBRID, best, test))
    retrievers = [
        {"type": "feedback", "target": HYBRID, "original_weight": words, "vector_weight": vectors}
        for words, vectors in itertools.product((0.5, 0.9), (0.2, 0.5))
    ]
    chosen = max(retrievers, key=lambda retriever: run(retriever, [], dev)[0].mean())
    row(f"feedback, original {chosen['original_weight']:g}, vectors {chosen['vector_weight']:g}", run(chosen, [], test))


def sampled(split: Split, n: int) -> Split:
    judged = [query for query in split.queries if query.id in split.qrels]
    chosen = np.random.default_rng(0).choice(len(judged), min(n, len(judged)), replace=False)
    queries = [judged[row] for row in chosen]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries})


if __name__ == "__main__":
    main()
