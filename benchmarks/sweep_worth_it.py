"""Is a quick sweep worth it? configs/sweeps/quick.yaml against its baseline, the default hybrid.yaml, on test queries.

    python benchmarks/sweep_worth_it.py DATA WORK [--datasets scifact,nfcorpus,cranfield,cacm] [--store DIR]
    python benchmarks/sweep_worth_it.py DATA WORK --sweep benchmarks/sweep_words.yaml

DATA holds BEIR folders; WORK keeps the sweeps, which go on where they were stopped. A dataset with nothing but test
queries has them halved at random: one half to tune on, one to test on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset, Split
from rag.hpo import read_sweep, tune
from rag.store.store import Store

SWEEP = Path(__file__).parent.parent / "configs" / "sweeps" / "quick.yaml"


def with_dev(dataset: Dataset) -> Dataset:
    if set(dataset.splits) & {"dev", "train"}:
        return dataset
    whole = dataset.split("test")
    order = np.random.default_rng(0).permutation(len(whole.queries))
    halves = {}
    for name, places in zip(("dev", "test"), np.array_split(order, 2), strict=True):
        queries = [whole.queries[n] for n in sorted(places)]
        halves[name] = Split(queries, {query.id: whole.qrels[query.id] for query in queries})
    return Dataset(dataset.name, dataset.corpus, halves, dataset.notes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--datasets", default="scifact,nfcorpus,cranfield,cacm")
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--sweep", type=Path, default=SWEEP)
    arguments = parser.parse_args()
    store = Store(arguments.store)
    print("| dataset | tuned on | tested on | s | baseline, tuning | choice, tuning | baseline, test | choice, test "
          "(95 % interval) | difference (95 % interval) | p | wins / losses | choice |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.datasets.split(","):
        dataset = with_dev(load_dataset(arguments.data / name))
        sweep = read_sweep(arguments.sweep)
        start = time.perf_counter()
        result = tune(sweep, dataset, out=arguments.work / name, store=store)
        seconds = time.perf_counter() - start
        best, baseline = result.tested[0], result.baseline
        first = next(trial for trial in result.trials if trial.number == baseline.trial)
        against, about = best.against["nDCG@10"], result.dataset
        low, high = best.evaluation.metrics["measures"]["nDCG@10"]["ci95"]
        point = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in result.best.point.items())
        print(f"| {name} | {about['tune']}, {about['n_tune']} | {about['test']}, {about['n_test']} | {seconds:.0f} "
              f"| {first.metrics['nDCG@10']:.4f} | {result.best.metrics['nDCG@10']:.4f} "
              f"| {baseline.metrics['nDCG@10']:.4f} | {best.metrics['nDCG@10']:.4f} ({low:.3f} to {high:.3f}) "
              f"| {against.difference:+.4f} ({against.ci95[0]:+.4f} to {against.ci95[1]:+.4f}) | {against.p_value:.4f} "
              f"| {against.wins} / {against.losses} | {point} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
