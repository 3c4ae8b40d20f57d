"""The report of a large run: how big it is, how long it takes to write, and when a browser has drawn it.

    python benchmarks/report.py DATASET [SPLIT] [QUERIES]     # such as DATA/nfcorpus train 1000

Evaluates three stages (BM25 and LSA fused, reranked by the words that query and passage share, cut by a threshold) on
the first queries of a split, which start again from the beginning, under new ids, where there are too few. The run
folder is written to a temporary folder, and its report opened in the chromium on the PATH, each time a new browser:
drawn means that every table is there and every figure painted. Prints Markdown.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the browser's driver lives with the tests

from rag import LSA, Pipeline, Threshold
from rag.eval import Dataset, Split, evaluate, load_dataset, write_report
from rag.eval.runs.folder import write_run
from rag.rerankers import CallableScorer, Rerank
from rag.retrievers import BM25, Dense, Hybrid
from tests.e2e.chromium import Chromium, find_chromium

REPEATS = 7
DRAWN = "drawn.then(() => new Promise(done => requestAnimationFrame(() => done(performance.now()))))"
OPENED = """(async () => {
  document.getElementById("queries").scrollIntoView();
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const start = performance.now();
  document.querySelector("#all button.open").click();
  while (!document.getElementById("query").open) await new Promise(done => setTimeout(done, 1));
  return performance.now() - start;
})()"""


class SharedWords(CallableScorer):
    """Share of the query's words that a passage has, a little less for long passages: a reranker that costs nothing."""

    type = "shared_words"

    def __init__(self) -> None:
        super().__init__(shared_words, name="shared words")


def shared_words(pairs: Sequence[tuple[str, str]]) -> list[float]:
    scores = []
    for query, passage in pairs:
        asked, there = set(query.lower().split()), passage.lower().split()
        scores.append(len(asked & set(there)) / max(len(asked), 1) / (10 + len(there)) ** 0.1)
    return scores


def take(split: Split, n: int) -> Split:
    """The first n queries, or all of them again and again under new ids."""
    rounds = [divmod(i, len(split.queries)) for i in range(n)]
    taken = [(again, split.queries[i]) for again, i in rounds]
    queries = [replace(query, id=f"{query.id}-{again}") if again else query for again, query in taken]
    grades = [split.qrels[query.id] for _, query in taken]
    return Split(queries, {query.id: judged for query, judged in zip(queries, grades, strict=True)})


def main(source: str, split: str, n: int) -> None:
    dataset = load_dataset(source)
    pipeline = Pipeline(
        retriever=Hybrid(retrievers=[BM25(top_k=100), Dense(embedder=LSA(dim=128), top_k=100)], top_k=100),
        stages=[Rerank(scorer=SharedWords(), budget=50, scores="scorer"), Threshold(min_relative=0.5)],
    )
    chosen = Dataset(dataset.name, dataset.corpus, {split: take(dataset.split(split), n)})
    evaluation = evaluate(pipeline, chosen, split=split, timed=False)
    binary = find_chromium()
    assert binary, "needs a chromium on the PATH"
    with tempfile.TemporaryDirectory() as work:
        run = write_run(evaluation, Path(work) / "run")
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            report = write_report(run)
            seconds.append(time.perf_counter() - start)
        drawn, opened, worked = [], [], []
        for number in range(REPEATS):
            with Chromium(binary, Path(work) / f"profile-{number}") as browser:
                # As for a reader: an inspector that listens makes V8 parse what runs a second time.
                for domain in ("Runtime", "Log", "Network"):
                    browser.call(f"{domain}.disable")
                browser.call("Performance.enable")
                browser.open(report.as_uri())
                drawn.append(browser.evaluate(DRAWN) / 1e3)
                figures = {
                    metric["name"]: metric["value"] for metric in browser.call("Performance.getMetrics")["metrics"]
                }
                worked.append(figures["ProcessTime"])
                opened.append(browser.evaluate(OPENED) / 1e3)
        print(f"\n{dataset.name} / {split}, {n:,} queries, {len(dataset.corpus):,} documents\n")
        print("| | median | slowest of 7 |\n|---|---|---|")
        print(f"| report.html, MB | {report.stat().st_size / 1e6:.2f} | |")
        print(f"| per_query.parquet, MB | {(run / 'per_query.parquet').stat().st_size / 1e6:.2f} | |")
        for label, values in (
            ("report written, s", seconds),
            ("opened and drawn in chromium, s", drawn),
            ("processor time of the page until then, s", worked),
            ("a query opened by a click, s", opened),
        ):
            print(f"| {label} | {np.median(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main(sys.argv[1], *(sys.argv[2:3] or ["test"]), *map(int, sys.argv[3:4] or [1000]))
