"""Labels as documents: which labels hold for a query, by their texts, by their training queries, by both.

    python benchmarks/labels.py DATA [--sets nfcorpus,scifact] [--store DIR]

DATA has folders in BEIR's layout, whose documents are taken for labels, and queries for what is to be labeled: the
layout of extreme classification. P@k, and PSP@k, in which labels rarely seen in training count more (Jain et al. 2016).
The simple baselines are the labels that are most frequent in training, and the labels' texts alone. The weight of text
and centroid is chosen on dev (200 training questions where there is none, which are then not trained on) by P@5. Paired
differences of PSP@5 to the texts with 95 % bootstrap intervals. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from decomposed import MODEL, _difference
from graph_rank import sampled

from rag import Pipeline, QueryBatch, Store
from rag.eval.datasets.base import Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.propensity import with_training
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

MEASURES = ["P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5"]
EMBEDDER = {"type": "sentence_transformer", "model": MODEL}
TEXTS = {"type": "dense", "embedder": EMBEDDER, "index": {"type": "flat"}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print(f"| set | labels by | {' | '.join(MEASURES)} | PSP@5 to texts |\n|---|---|{'---|' * (len(MEASURES) + 1)}")
    for name in given.sets.split(","):
        measure(given.data / name, store)


def memory(score: str) -> dict[str, Any]:
    return {"type": "query_memory", "embedder": EMBEDDER, "score": score, "gate": 0.0}


def both(score: str, weight: float) -> dict[str, Any]:
    parts = {"retrievers": [TEXTS, memory(score)], "fusion": {"type": "min_max"}, "weights": [1 - weight, weight]}
    return {"type": "hybrid", **parts}


def measure(path: Path, store: Store | None) -> None:
    dataset = load_dataset(path)
    test, train = dataset.split("test"), dataset.split("train")
    dev = dataset.split("dev") if "dev" in dataset.splits else sampled(train, 200)
    kept = [query for query in train.queries if query.id not in dev.qrels]
    training = Split(kept, {query.id: train.qrels[query.id] for query in kept if query.id in train.qrels}).training
    measures = with_training(parse_measures(MEASURES), dataset)

    def run(retriever: dict[str, Any], split: Split) -> Any:
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever})
        pipeline.fit(dataset.corpus, training=training, store=store)
        run = as_run(split.queries, pipeline.run(QueryBatch(split.queries, store=store)), pipeline.corpus)
        values = per_query(measures, split.qrels, run)
        return np.array([[values[name][query.id] for name in values] for query in split.queries])

    base = run(TEXTS, test)
    methods = {
        "training frequency": memory("popular"),
        "neighbors (like)": memory("like"),
        "centroids": memory("centroid"),
    }
    rows = {"texts": base, **{label: run(retriever, test) for label, retriever in methods.items()}}
    for score in ("like", "centroid"):
        weights = (0.2, 0.4, 0.6, 0.8)
        best = max(weights, key=lambda weight: run(both(score, weight), dev)[:, 2].mean())
        rows[f"texts and {score}, weight {best:g}"] = run(both(score, best), test)
    for label, values in rows.items():
        difference = "" if values is base else _difference(values[:, -1], base[:, -1])
        cells = " | ".join(f"{mean:.3f}" for mean in values.mean(axis=0))
        print(f"| {dataset.name}, {len(test.queries)} questions | {label} | {cells} | {difference} |", flush=True)


if __name__ == "__main__":
    main()
