"""Defaults by measurement: BM25's k1 and b, and the fusion of ``hybrid``, over several sets.

    python benchmarks/defaults.py DATA [--sets scifact,nfcorpus,cacm,cranfield] [--dense MODEL|lsa] [--store DIR]

DATA has folders in BEIR's layout. nDCG@10 and R@100 on the test questions, and the paired difference to the first row
of each group: bootstrap interval and randomization test. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rag import Pipeline, Store
from rag.eval import evaluate
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset

MEASURES = ("nDCG@10", "R@100")
PAIRS = ((0.9, 0.4), (1.2, 0.75), (1.5, 0.75))
FUSIONS = ("rrf", "min_max", "z_score")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="scifact,nfcorpus,cacm,cranfield")
    parser.add_argument("--dense", default=None, help="a model, or lsa; without it only BM25 is measured")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | pipeline | nDCG@10 | R@100 | nDCG@10 to the first | 95 % | p |")
    print("|---" * 7 + "|")
    for name in given.sets.split(","):
        dataset = load_dataset(name if name == "python-reference" else given.data / name)
        rows = [(f"bm25 {k1:g} / {b:g}", {"type": "bm25", "k1": k1, "b": b}) for k1, b in PAIRS]
        _print(dataset, rows, store)
        if given.dense:
            _print(dataset, [(f"hybrid {fusion}", _hybrid(fusion, given.dense)) for fusion in FUSIONS], store)


def _hybrid(fusion: str, model: str) -> dict[str, Any]:
    embedder = {"type": "lsa"} if model == "lsa" else {"type": "sentence_transformer", "model": model}
    dense = {"type": "dense", "embedder": embedder, "index": {"type": "flat"}}
    return {"type": "hybrid", "fusion": {"type": fusion}, "retrievers": [{"type": "bm25", "k1": 1.2, "b": 0.75}, dense]}


def _print(dataset: Dataset, rows: list[tuple[str, dict[str, Any]]], store: Store | None) -> None:
    first = None
    for label, retriever in rows:
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever})
        evaluation = evaluate(pipeline, dataset, measures=MEASURES, timed=False, store=store)
        values = np.array([evaluation.values["nDCG@10"][query.id] for query in evaluation.split.queries])
        first = values if first is None else first
        said = compare(values, first)
        low, high = said.ci95 or (0.0, 0.0)
        print(
            f"| {dataset.name} | {label} | {evaluation.mean('nDCG@10'):.4f} | {evaluation.mean('R@100'):.4f} "
            f"| {said.difference:+.4f} | {low:+.4f} to {high:+.4f} | {said.p_value:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
