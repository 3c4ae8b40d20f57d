"""Lists of candidates, vectors of queries and scores of pairs: computed once, with the costs they had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from rag import ArtifactError, ConfigError, Corpus, Document, Pipeline, Query, QueryBatch, Stage, Threshold, Training
from rag.eval import Dataset, Split, evaluate
from rag.eval.measures.latency import time_alone
from rag.rerankers import Rerank, Scorer
from rag.retrievers import BM25, Dense, Hybrid
from rag.store.store import Store
from tests.fakes import WordEmbedder

DOCUMENTS = [Document(str(n), f"section {n} is about item {n * 7}. " * (1 + n % 4)) for n in range(60)]
QUERIES = [Query(f"q{n}", f"item {n * 7}") for n in range(0, 60, 4)]
QRELS = {query.id: {query.id[1:]: 1} for query in QUERIES}


class CountingWords(WordEmbedder):
    """Counts queries.

    Args:
        size: Length of the vectors.
    """

    type = "fake_counting_queries"
    queries: ClassVar[int] = 0

    def embed_queries(self, texts):  # type: ignore[no-untyped-def]
        type(self).queries += len(texts)
        return super().embed_queries(texts)

    def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        return WordEmbedder(size=self.size).embed_documents(texts)


class LengthScorer(Scorer):
    """Scores by a number made of both lengths, and counts pairs."""

    type = "fake_length"
    pairs: ClassVar[int] = 0

    def score_pairs(self, batch, rows, passages):  # type: ignore[no-untyped-def]
        type(self).pairs += len(rows)
        lengths = np.array([len(text) for text in self._passages.texts(passages)])
        return np.sin(lengths * 7 + np.array([len(batch.texts[row]) for row in rows])).astype(np.float32)


class Learner(Stage):
    """Drops candidates below the mean score it saw for the training queries."""

    type = "fake_learner"
    needs = frozenset({"training", "candidates"})
    fitted: ClassVar[int] = 0

    def fit(self, context):  # type: ignore[no-untyped-def]
        super().fit(context)
        batch, candidates = context.training_run()
        assert len(context.training.queries) == len(batch) == len(candidates)
        type(self).fitted += 1
        self._limit = np.float32(candidates.scores[candidates.mask].mean())

    def process(self, batch, candidates):  # type: ignore[no-untyped-def]
        return candidates.rescored(np.where(candidates.scores >= self._limit, candidates.scores, -np.inf))

    def save_state(self, folder):  # type: ignore[no-untyped-def]
        np.save(folder / "limit.npy", self._limit)

    def load_state(self, folder, context):  # type: ignore[no-untyped-def]
        super().load_state(folder, context)
        self._limit = np.load(folder / "limit.npy")


def chain(budget: int = 20, k: int = 30, learner: bool = False) -> Pipeline:
    stages: list[Stage] = [Rerank(scorer=LengthScorer(), budget=budget, scores="scorer"), Threshold(top_k=10)]
    return Pipeline(
        retriever=Hybrid(retrievers=[BM25(), Dense(embedder=CountingWords(size=16))], top_k=k),
        stages=[*stages[:1], Learner(), *stages[1:]] if learner else stages,
    )


@pytest.fixture(autouse=True)
def _count() -> None:
    CountingWords.queries = LengthScorer.pairs = Learner.fitted = 0


def ask(pipeline: Pipeline, queries: list[Query], store: Store | None) -> tuple[QueryBatch, object]:
    batch = QueryBatch(queries, trace={}, store=store)
    return batch, pipeline.run(batch)


def same(expected, other) -> bool:  # type: ignore[no-untyped-def]
    return all(
        np.array_equal(getattr(expected, name), getattr(other, name)) for name in ("documents", "scores", "passages")
    )


def test_asked_again_nothing_is_computed_and_all_is_alike(tmp_path: Path) -> None:
    plain = chain().fit(DOCUMENTS)
    first_batch, expected = ask(plain, QUERIES, None)
    store = Store(tmp_path)
    batch, candidates = ask(chain().fit(DOCUMENTS, store=store), QUERIES, store)
    assert same(expected, candidates)
    computed = CountingWords.queries, LengthScorer.pairs
    assert computed == (2 * len(QUERIES), 2 * 20 * len(QUERIES))
    store.close()

    other = Store(tmp_path)
    again, candidates = ask(chain().fit(DOCUMENTS, store=other), QUERIES, other)
    assert computed == (CountingWords.queries, LengthScorer.pairs)
    assert same(expected, candidates)
    assert first_batch.trace.keys() == batch.trace.keys() == again.trace.keys()
    assert all(same(first_batch.trace[name], again.trace[name]) for name in again.trace)
    for name in ("texts_embedded", "scorer_calls"):
        costs = [{s: getattr(c, name) for s, c in asked.ledger.stages.items()} for asked in (first_batch, batch, again)]
        assert costs[0] == costs[1] == costs[2]
    assert batch.ledger.total.seconds == pytest.approx(again.ledger.total.seconds, rel=0.5)


def test_lists_are_shared_by_query_and_scores_by_pair(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pipeline = chain().fit(DOCUMENTS, store=store)
    ask(pipeline, QUERIES[:5], store)
    assert CountingWords.queries == 5
    _, candidates = ask(pipeline, QUERIES, store)
    assert len(QUERIES) == CountingWords.queries
    assert same(ask(chain().fit(DOCUMENTS), QUERIES, None)[1], candidates)

    CountingWords.queries = LengthScorer.pairs = 0
    ask(chain(budget=25).fit(DOCUMENTS, store=store), QUERIES, store)  # other lists, but most pairs are known
    assert (0, 5 * len(QUERIES)) == (CountingWords.queries, LengthScorer.pairs)


def test_a_stage_learns_from_what_comes_before_it(tmp_path: Path) -> None:
    training = Training(QUERIES, QRELS)
    plain = chain(learner=True).fit(DOCUMENTS, training=training)
    store = Store(tmp_path)
    first = chain(learner=True).fit(DOCUMENTS, training=training, store=store)
    assert Learner.fitted == 2
    pairs = LengthScorer.pairs
    second = chain(learner=True).fit(DOCUMENTS, training=training, store=store)
    assert "stage fake_learner" in second.reused
    other = chain(budget=15, learner=True).fit(DOCUMENTS, training=training, store=store)
    assert Learner.fitted == 3  # behind another budget it is another
    assert pairs == LengthScorer.pairs  # whose pairs were all known
    limits = [p.stages[1]._limit for p in (plain, first, second, other)]  # type: ignore[attr-defined]
    assert limits[0] == limits[1] == limits[2] != limits[3]


def test_without_training_it_says_so() -> None:
    with pytest.raises(ConfigError, match="learns from judged training queries"):
        chain(learner=True).fit(DOCUMENTS)


def test_an_evaluation_again_measures_nothing_anew(tmp_path: Path) -> None:
    dataset = Dataset(name="d", corpus=Corpus.from_documents(DOCUMENTS), splits={"test": Split(QUERIES, QRELS)})
    first = evaluate(chain(), dataset, store=Store(tmp_path))
    counts = CountingWords.queries, LengthScorer.pairs
    second = evaluate(chain(), dataset, store=Store(tmp_path, mode="only"))
    assert counts == (CountingWords.queries, LengthScorer.pairs)
    assert first.run == second.run
    assert first.values == second.values
    assert first.metrics["latency_ms"] == second.metrics["latency_ms"]
    assert first.metrics["stages"][:2] == second.metrics["stages"][:2]  # the threshold keeps no lists and runs again
    assert evaluate(chain(), dataset, timed=False).metrics["latency_ms"] is None
    with pytest.raises(ArtifactError, match="nothing may be computed"):
        evaluate(chain(budget=11), dataset, store=Store(tmp_path, mode="only"))


EVALUATE = """
import sys
sys.path.insert(0, sys.argv[2])
import tests.integration.test_shared_lists as t
from rag import Corpus
from rag.eval import Dataset, Split, evaluate
from rag.store.store import Store
dataset = Dataset(name="d", corpus=Corpus.from_documents(t.DOCUMENTS), splits={"test": Split(t.QUERIES, t.QRELS)})
class Words(t.CountingWords):
    type = "fake_counting_words_2"
    documents = 0
    def embed_documents(self, texts, *, advance=None):
        type(self).documents += len(texts)
        return super().embed_documents(texts, advance=advance)
t.CountingWords = Words
print("ready", flush=True)
sys.stdin.readline()
result = evaluate(t.chain(), dataset, store=Store(sys.argv[1]), timed=False)
print(Words.documents, Words.queries, t.LengthScorer.pairs, len(result.pipeline.reused), result.mean("nDCG@10"))
"""


@pytest.mark.slow
def test_processes_evaluating_at_once_compute_everything_exactly_once(tmp_path: Path) -> None:
    root = str(Path(__file__).parent.parent.parent)
    command = [sys.executable, "-c", EVALUATE, str(tmp_path), root]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    rows = [worker.communicate(timeout=120)[0].split() for worker in workers]
    documents, queries, pairs, reused = (sum(int(row[n]) for row in rows) for n in range(4))
    assert (60, len(QUERIES), 20 * len(QUERIES)) == (documents, queries, pairs)
    assert reused == 3 * 2  # of BM25 and the index, one process made each, three found it
    assert len({row[4] for row in rows}) == 1


class Asker(Stage):
    """Asks for the queries' vectors, which the retriever made.

    Args:
        embedder: Whose vectors.
    """

    type = "fake_asker"
    _keeps_lists = False

    def __init__(self, *, embedder: WordEmbedder) -> None:
        self.embedder = embedder

    def process(self, batch, candidates):  # type: ignore[no-untyped-def]
        assert len(batch) == len(batch.embeddings(self.embedder))
        return candidates


def test_vectors_that_a_kept_list_has_paid_for_are_not_booked_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    embedder = CountingWords()
    texts = []
    for queries in (QUERIES[:10], QUERIES[:10], QUERIES, QUERIES):
        pipeline = Pipeline(retriever=Dense(embedder=embedder), stages=[Asker(embedder=embedder)]).fit(
            DOCUMENTS, store=store
        )
        batch = QueryBatch(queries, store=store)
        pipeline.run(batch)
        texts.append({name: costs.texts_embedded for name, costs in batch.ledger.stages.items()})
    ten, all_ = ({"retriever": n, "stages.0 fake_asker": 0} for n in (10, len(QUERIES)))
    assert texts == [ten, ten, all_, all_]
    store.close()


def test_lists_under_a_filter_are_of_the_metadata_they_were_made_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    query = Query("q", "item", filter={"year": {"gte": 50}})
    for first in (0, 30):
        documents = [Document(document.id, document.text, {"year": first + n}) for n, document in enumerate(DOCUMENTS)]
        pipeline = Pipeline(retriever=BM25()).fit(documents, store=store)
        _, candidates = ask(pipeline, [query], store)
        assert set(range(50 - first, 60)) == set(candidates.documents[0].tolist())  # type: ignore[attr-defined]
    store.close()


def test_what_is_learned_is_of_the_filters_and_turns_of_the_training_queries(tmp_path: Path) -> None:
    documents = [Document(document.id, document.text, {"half": n % 2}) for n, document in enumerate(DOCUMENTS)]
    texts = [query.text for query in QUERIES]
    trainings = [
        [Query(query.id, query.text, filter=condition, turns=turns) for query in QUERIES]
        for condition, turns in [(None, ()), ({"half": 0}, ()), ({"half": 1}, ()), (None, [("user", texts[0])])]
    ]
    for queries in trainings:
        chain(learner=True).fit(documents, training=Training(queries, QRELS), store=Store(tmp_path))
    assert Learner.fitted == 4
    swapped = [Document(document.id, document.text, {"half": 1 - document.metadata["half"]}) for document in documents]
    chain(learner=True).fit(swapped, training=Training(trainings[1], QRELS), store=Store(tmp_path))
    assert Learner.fitted == 5
    chain(learner=True).fit(documents, training=Training(trainings[1], QRELS), store=Store(tmp_path))
    assert Learner.fitted == 5


class Taught(WordEmbedder):
    """Learns the sign of its vectors from the judgments.

    Args:
        size: Length of the vectors.
    """

    type = "fake_taught"
    needs = frozenset({"training"})

    def fit(self, context):  # type: ignore[no-untyped-def]
        self._sign = np.float32(1 if context.training.qrels else -1)

    def embed_queries(self, texts):  # type: ignore[no-untyped-def]
        return self._sign * super().embed_queries(texts)


def test_an_index_is_of_what_its_embedder_learned(tmp_path: Path) -> None:
    for judgments in (QRELS, {}):
        pipeline = Pipeline(retriever=Dense(embedder=Taught()))
        pipeline.fit(DOCUMENTS, training=Training(QUERIES, judgments), store=Store(tmp_path))
        assert pipeline.search(QUERIES[0])[0].score == pytest.approx(1, abs=0.3)


def test_latencies_are_of_the_filters_they_were_measured_with(tmp_path: Path) -> None:
    documents = [Document(document.id, document.text, {"half": n % 2}) for n, document in enumerate(DOCUMENTS)]
    store = Store(tmp_path)
    pipeline = Pipeline(retriever=BM25()).fit(documents, store=store)
    plain = time_alone(pipeline, QUERIES, store=store)
    filtered = [Query(query.id, query.text, filter={"half": 1}) for query in QUERIES]
    assert plain == time_alone(pipeline, QUERIES, store=store) != time_alone(pipeline, filtered, store=store)
    store.close()
