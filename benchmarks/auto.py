"""What ``rag tune --auto`` wins over a hybrid on several sets, within a budget.

    python benchmarks/auto.py DATA [--sets nfcorpus,cacm] [--seeds 0,1,2] [--budget 10m] [--dense MODEL|lsa]
                              [--store DIR] [--out DIR]

DATA has folders in BEIR's layout. A set with nothing but test questions has them halved at random: one half is called
train, and cross-validated; the halves are the same with every seed, which only goes to the tuning. Everything is
measured once on test, paired by question. Prints Markdown, also where nothing is won.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from rag import Store
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.hpo import tune


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact,cacm,cranfield,python-reference,locomo_sessions")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--dense", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    heads = ["set", "seed", "tuned on", "test questions", "s", "trials", "hybrid", "tuned", "difference", "95 %", "p"]
    heads += ["shares a document", "does not", "ms, p50", "by"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for seed in map(int, given.seeds.split(",")):
        for name in given.sets.split(","):
            row(name, seed, given, store)


def row(name: str, seed: int, given: argparse.Namespace, store: Store | None) -> None:
    dataset = halved(load_dataset(name if name == "python-reference" else given.data / name))
    start = time.perf_counter()
    out = None if given.out is None else given.out / f"{dataset.name}-{seed}"
    result = tune(pipeline(given.dense), dataset, auto=True, budget=given.budget, store=store, out=out, seed=seed)
    win, about = result.win, result.dataset
    assert win is not None
    low, high = win.ci95 or (0.0, 0.0)
    groups = [f"{difference:+.4f} ({n})" for difference, n in win.remembered] or ["", ""]
    print(
        f"| {name} | {seed} | {about['tune']}, {about['n_tune']} | {about['n_test']} "
        f"| {time.perf_counter() - start:.0f} | {len(result.trials)} | {win.baseline:.4f} | {win.tuned:.4f} "
        f"| {win.difference:+.4f} | {low:+.4f} to {high:+.4f} | {win.p_value:.4f} | {groups[0]} | {groups[1]} "
        f"| {win.latency_ms[0]:.1f} -> {win.latency_ms[1]:.1f} | {', '.join(win.by) or '-'} |",
        flush=True,
    )


def pipeline(dense: str) -> dict[str, Any]:
    """As ``configs/hybrid.yaml``, with exact search."""
    embedder = {"type": "lsa"} if dense == "lsa" else {"type": "sentence_transformer", "model": dense}
    lists = [{"type": "bm25", "k1": 0.9, "b": 0.4}, {"type": "dense", "embedder": embedder, "index": {"type": "flat"}}]
    return {"type": "pipeline", "retriever": {"type": "hybrid", "fusion": {"type": "min_max"}, "retrievers": lists}}


def halved(dataset: Dataset) -> Dataset:
    """A dataset with something to tune on."""
    if {"train", "dev"} & set(dataset.splits):
        return dataset
    whole = dataset.split("test")
    order = np.random.default_rng(0).permutation(len(whole.queries))
    halves = {}
    for name, rows in (("train", order[: len(order) // 2]), ("test", order[len(order) // 2 :])):
        queries = [whole.queries[row] for row in sorted(rows.tolist())]
        halves[name] = Split(queries, {query.id: whole.qrels[query.id] for query in queries})
    return Dataset(dataset.name, dataset.corpus, halves)


if __name__ == "__main__":
    main()
