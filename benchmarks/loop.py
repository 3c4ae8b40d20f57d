"""A plain loop, as most people tune: the rival of ``rag tune --auto`` on the same data and budget (`auto.py`).

    python benchmarks/loop.py DATA [--sets cacm,python-reference] [--budget 5m] [--dense MODEL|lsa] [--store DIR]

A grid over BM25's k1 and b, the weight of the dense list, the fusion and the depth, in an order drawn once; every
pipeline is fitted and searched as a whole, vectors come from the store. The best mean nDCG@10 on the tuning questions
is measured once on test, paired with the hybrid that `auto.py` begins with. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from auto import halved, pipeline
from wins import _values

from rag import Pipeline, Store
from rag.eval.comparison.significance import compare
from rag.eval.datasets.load import load_dataset
from rag.hpo.auto.run import seconds_of

GRID: dict[str, tuple[Any, ...]] = {
    "k1": (0.6, 0.9, 1.2, 1.5, 1.8),
    "b": (0.2, 0.4, 0.6, 0.75, 0.9),
    "weight": (0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    "fusion": ("min_max", "z_score", "rrf"),
    "depth": (50, 100, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact,cacm,cranfield,python-reference,locomo_sessions")
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--dense", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | s | tried of | hybrid | best | difference | 95 % | p | by |")
    print("|---" * 9 + "|")
    for name in given.sets.split(","):
        row(name, given, store)


def row(name: str, given: argparse.Namespace, store: Store | None) -> None:
    dataset = halved(load_dataset(name if name == "python-reference" else given.data / name))
    tuned = dataset.split("dev" if "dev" in dataset.splits else "train")
    start = time.perf_counter()

    def made(point: dict[str, Any] | None) -> Pipeline:
        config = pipeline(given.dense)
        if point is not None:
            words, vectors = config["retriever"]["retrievers"]
            words |= {"k1": point["k1"], "b": point["b"], "top_k": point["depth"]}
            vectors["top_k"] = point["depth"]
            config["retriever"] |= {"fusion": {"type": point["fusion"]}, "weights": [1.0, point["weight"]]}
        return Pipeline.from_config(config).fit(dataset.corpus, store=store)

    points = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    best, highest, tried = None, float(_values(made(None), tuned, store)[:, 0].mean()), 0
    for n in np.random.default_rng(0).permutation(len(points)).tolist():
        if time.perf_counter() - start > seconds_of(given.budget):
            break
        tried += 1
        mean = float(_values(made(points[n]), tuned, store)[:, 0].mean())
        best, highest = (points[n], mean) if mean > highest else (best, highest)
    spent = time.perf_counter() - start
    test = dataset.split("test")
    before, after = (_values(made(point), test, store)[:, 0] for point in (None, best))
    won = compare(after, before)
    low, high = won.ci95 or (0.0, 0.0)
    by = ", ".join(f"{key} {value}" for key, value in (best or {}).items()) or "-"
    print(
        f"| {name} | {spent:.0f} | {tried} of {len(points)} | {before.mean():.4f} | {after.mean():.4f} "
        f"| {won.difference:+.4f} | {low:+.4f} to {high:+.4f} | {won.p_value:.4f} | {by} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
