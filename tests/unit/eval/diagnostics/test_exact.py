"""Comparing with a scorer's own ranking, against a ranking made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rag.templates
from rag import ConfigError, Corpus, Document, Pipeline, Query, RecursiveChunker, Threshold
from rag.eval import Dataset, Split, against_exact, evaluate, load_dataset
from rag.eval.diagnostics.exact import last_scorer
from rag.rerankers import CallableScorer, Rerank
from rag.retrievers import BM25
from rag.store.store import Store

DATA = Path(rag.templates.__file__).parent / "starter" / "data"


def letters(pairs):
    return [sum(p.count(letter) for letter in set(q)) / (1 + len(p)) for q, p in pairs]


@pytest.mark.parametrize("chunked", [False, True])
def test_recall_and_measures_are_those_of_a_plain_loop(chunked):
    dataset = load_dataset(DATA)
    chunker = {"chunker": RecursiveChunker(size=60, unit="characters")} if chunked else {}
    stages = [Rerank(scorer=CallableScorer(letters), budget=3, scores="scorer"), Threshold(top_k=2)]
    evaluation = evaluate(Pipeline(retriever=BM25(), stages=stages, **chunker), dataset, timed=False)
    against = against_exact(evaluation, 5, seed=1).metrics["against_exact"]
    chosen = np.sort(np.random.default_rng(1).permutation(8)[:5])
    passages = evaluation.pipeline.passages
    shares = []
    for query in (evaluation.split.queries[number] for number in chosen):
        best = {}
        for text, owner in zip(passages.texts(range(len(passages))), passages.document.tolist(), strict=True):
            best[owner] = max(best.get(owner, -np.inf), letters([(query.text, text)])[0])
        order = sorted(best, key=lambda position: (-np.float32(best[position]), position))
        ids = evaluation.pipeline.corpus.ids(order)
        shares.append([np.mean([document in evaluation.run[query.id] for document in ids[:k]]) for k in (1, 10, 100)])
    assert against["n_queries"] == 5
    assert 3 >= against["calls_per_query"] > 0
    for number, k in enumerate(("1", "10", "100")):
        assert against["recall"][k]["mean"] == pytest.approx(np.mean(shares, axis=0)[number])
    assert set(evaluation.metrics["measures"]) == set(against["measures"])
    assert evaluation.metrics.get("against_exact") is None


def test_a_pipeline_that_scores_everything_agrees_with_itself(tmp_path):
    asked = []

    def counting(pairs):
        asked.extend(pairs)
        return letters(pairs)

    class Everything(BM25):
        def retrieve(self, batch):
            from rag import Candidates

            n = len(self._passages)
            keys = np.tile(np.arange(n), (len(batch), 1))
            return Candidates.from_scores(keys, np.zeros(keys.shape, dtype=np.float32), keys)

    pipeline = Pipeline(
        retriever=Everything(), stages=[Rerank(scorer=CallableScorer(counting, name="x"), budget=100, scores="scorer")]
    )
    store = Store(tmp_path)
    evaluation = evaluate(pipeline, load_dataset(DATA), timed=False, store=store)
    against = against_exact(evaluation, 100, store=store).metrics["against_exact"]
    assert {k: interval["mean"] for k, interval in against["recall"].items()} == {"1": 1.0, "10": 1.0, "100": 1.0}
    for values in against["measures"].values():
        assert values["pipeline"] == pytest.approx(values["exact"])
    assert len(asked) == 8 * 12  # every pair once: the second pass is answered by the store


def test_without_a_scorer_there_is_nothing_to_compare_with():
    with pytest.raises(ConfigError, match="the pipeline needs a stage that has one"):
        last_scorer(Pipeline(retriever=BM25(), stages=[Threshold(top_k=3)]))


def test_what_a_filter_hides_is_not_missed():
    documents = [Document(str(n), "abc"[: 1 + n % 3], {"half": n % 2}) for n in range(12)]
    queries = [Query("q", "abc", filter={"half": 1}), Query("r", "abc"), Query("s", "abc", filter={"half": {"gt": 1}})]
    dataset = Dataset(
        "d", Corpus.from_documents(documents), {"test": Split(queries, {query.id: {"1": 1} for query in queries})}
    )
    stages = [Rerank(scorer=CallableScorer(letters), budget=12, scores="scorer")]
    evaluation = evaluate(Pipeline(retriever=BM25(token_pattern="[a-z]+"), stages=stages), dataset, timed=False)
    evaluation = replace(evaluation, run=evaluation.run | {"q": {str(n): 1.0 for n in range(1, 12, 2)}})
    everything = replace(evaluation, run=evaluation.run | {"r": {str(n): 1.0 for n in range(12)}})
    against = against_exact(everything, 3).metrics["against_exact"]
    assert {k: interval["mean"] for k, interval in against["recall"].items()} == {"1": 1.0, "10": 1.0, "100": 1.0}
