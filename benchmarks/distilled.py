"""What a distilled scorer keeps of its teacher, and how much faster it is.

    python benchmarks/distilled.py DATA MODEL [--sets scifact,nfcorpus] [--queries 150] [--tested 100] [--store DIR]

DATA has folders in BEIR's layout, MODEL is a cross-encoder, the teacher; its pairs are cut at 160 tokens. The first 10
of a hybrid of BM25 and MiniLM are reranked for a sample of test questions: by the teacher, and by students that
learned from the teacher's scores of 10 candidates of a sample of training questions. Both alone (``scores: scorer``)
and blended with the hybrid by half (``blend: 0.5``). Paired differences to the hybrid with 95 % bootstrap intervals;
CPU time a pair, without embedding the question. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from decomposed import HYBRID, _difference

from rag import Pipeline, QueryBatch, Store, Training
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

BUDGET = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--tested", type=int, default=100)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | scorer | alone | to the hybrid | blended | to the hybrid | ms a pair, CPU |")
    print("|---|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        measure(load_dataset(given.data / name), given, store)


def measure(dataset: Dataset, given: Any, store: Store | None) -> None:
    rng = np.random.default_rng(0)
    train = sampled(dataset.split("train"), given.queries, rng)
    test = sampled(dataset.split("test"), given.tested, rng, ordered=True)
    training = Training(train.queries, train.qrels)
    teacher = {"type": "cross_encoder", "model": given.model, "max_length": 160}

    def run(scorer: dict[str, Any] | None, answer: dict[str, Any]) -> tuple[Any, float]:
        stages = [] if scorer is None else [{"type": "rerank", "scorer": scorer, "budget": BUDGET, **answer}]
        config = {"type": "pipeline", "retriever": HYBRID, "stages": stages}
        learns = scorer is not None and scorer["type"] == "distilled"
        pipeline = Pipeline.from_config(config).fit(dataset.corpus, training=training if learns else None, store=store)
        batch = QueryBatch(test.queries, store=store)
        run = as_run(test.queries, pipeline.run(batch), pipeline.corpus)
        scores = per_query(parse_measures(["nDCG@10"]), test.qrels, run)["nDCG@10"]
        spent = pair_ms(pipeline, test) if scorer is not None else 0.0
        return np.array([scores[query.id] for query in test.queries]), spent

    base, _ = run(None, {})
    print(f"| {dataset.name} | none: the hybrid, {len(test.queries)} questions | {base.mean():.3f} | | | | |")
    scorers = {
        "teacher": teacher,
        **{
            loss: {"type": "distilled", "scorer": teacher, "loss": loss, "depth": BUDGET}
            for loss in ("pld", "listwise", "margin_mse")
        },
    }
    for label, scorer in scorers.items():
        cells = []
        for answer in ({"scores": "scorer"}, {"blend": 0.5}):
            values, spent = run(scorer, answer)
            cells += [f"{values.mean():.3f}", _difference(values, base)]
        print(f"| {dataset.name} | {label} | {' | '.join(cells)} | {spent:.4f} |", flush=True)


def pair_ms(pipeline: Pipeline, test: Split) -> float:
    """CPU milliseconds of a pair in a batch of 5 questions, without a store."""
    batch = QueryBatch(test.queries[:5])
    scorer = pipeline.stages[0].scorer  # type: ignore[attr-defined]
    table = batch.found_by(pipeline.retriever).head(BUDGET)
    rows, columns = np.nonzero(table.mask)
    start = time.process_time()
    scorer.score(batch, rows, table.passages[rows, columns])
    return (time.process_time() - start) / len(rows) * 1e3


def sampled(split: Split, n: int, rng: np.random.Generator, *, ordered: bool = False) -> Split:
    judged = [query for query in split.queries if query.id in split.qrels]
    chosen = rng.choice(len(judged), min(n, len(judged)), replace=False)
    queries = [judged[row] for row in (sorted(chosen) if ordered else chosen)]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries})


if __name__ == "__main__":
    main()
