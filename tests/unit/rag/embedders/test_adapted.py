"""Queries that learn where their documents are, against plain loops, finite differences and what must not be seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rag import (
    Adapted,
    ConfigError,
    Corpus,
    Document,
    ModelError,
    NotFittedError,
    Pipeline,
    Query,
    QueryBatch,
    Store,
    Training,
)
from rag.learning.query_map import MapTrainer, Pool, loss_and_slope, moved, ranked
from rag.learning.unseen import Unseen
from rag.retrievers import BM25, Dense, Hybrid, QueryMemory
from rag.retrievers.fusion.learned import Learned
from tests.fakes import WordEmbedder

N_TOPICS = 12
CORPUS = Corpus.from_documents(
    [Document(str(n), f"answer{n % N_TOPICS} text{n} more{n % 5}", {"even": n % 2 == 0}) for n in range(60)]
)


def questions(n, prefix="t", first=0, right=lambda topic: topic):
    """Questions whose words are in no document: only judgments tell that ``ask3`` means ``answer3``."""
    queries = [
        Query(f"{prefix}{k}", f"ask{k % N_TOPICS} {prefix}word{k} {prefix}other{k}") for k in range(first, first + n)
    ]
    judged = {
        query.id: {str(d): 1 for d in range(60) if d % N_TOPICS == right(k % N_TOPICS)}
        for k, query in enumerate(queries, first)
    }
    return Training(queries, judged)


def adapted(**arguments):
    given = {"learning_rate": 3e-3, "epochs": 30, "patience": 30} | arguments
    return Adapted(embedder=WordEmbedder(size=48), **given)


def pipeline(embedder=None):
    return Pipeline(retriever=Dense(embedder=embedder or adapted(), top_k=60))


def hits(made, asked):
    return np.mean(
        [asked.qrels[result.query.id].get(result[0].document.id, 0) for result in made.search(asked.queries, top_k=5)]
    )


# -- arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", [None, 2, 50])
def test_loss_is_that_of_a_plain_loop_and_its_slope_that_of_finite_differences(negatives):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4, 7)).astype(np.float64)
    logits[0, 6] = -np.inf
    relevant = rng.random((4, 7)) < 0.3
    relevant[:, 0] = True
    relevant[0, 6] = False

    def by_loop(values):
        total = 0.0
        for row, right in zip(values, relevant, strict=True):
            wrong = sorted(row[~right], reverse=True)[:negatives]
            good = np.exp(row[right]).sum()
            total -= np.log(good / (good + np.exp(wrong).sum()))
        return total / len(values)

    loss, slope = loss_and_slope(logits, relevant, negatives)
    assert loss == pytest.approx(by_loop(logits))
    for row in range(4):
        for column in range(7):
            if np.isfinite(logits[row, column]):
                step = np.zeros_like(logits)
                step[row, column] = 1e-6
                expected = (by_loop(logits + step) - by_loop(logits - step)) / 2e-6
                assert slope[row, column] == pytest.approx(expected, abs=1e-5)


def test_the_slope_of_the_map_is_that_of_finite_differences(monkeypatch):
    import scipy.sparse as sp

    rng = np.random.default_rng(2)
    queries, documents = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=(9, 4)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    relevant = np.eye(5, 9, dtype=bool)
    pool = Pool(np.arange(9), np.arange(9), documents)
    trainer = MapTrainer(
        queries, sp.csr_array(relevant), None, pool, negatives=None, learning_rate=0.1, scale=5, batch_size=9, seed=0
    )
    trainer.weights[:] = rng.normal(size=(4, 4)).astype(np.float32) * np.float32(0.3)
    slopes = []
    monkeypatch.setattr(trainer._adam, "step", lambda step: slopes.extend(step))
    trainer.epoch()

    def loss(weights):
        unit = queries.astype(np.float64) / np.linalg.norm(queries, axis=1, keepdims=True)
        return loss_and_slope(5 * moved(unit, weights) @ documents.T.astype(np.float64), relevant, None)[0]

    start = trainer.weights.astype(np.float64)
    for i in range(4):
        for j in range(4):
            step = np.zeros((4, 4))
            step[i, j] = 1e-5
            assert slopes[0][i, j] == pytest.approx((loss(start + step) - loss(start - step)) / 2e-5, abs=1e-4)


def test_the_identity_leaves_vectors_as_they_are_and_lengths_stay():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [0.1, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(moved(vectors, np.zeros((2, 2), np.float32)), vectors)
    turned = moved(vectors, np.array([[0.0, 5.0], [-5.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), [5.0, 0.0, 0.1], rtol=1e-6)


def test_documents_are_ranked_by_their_best_passage():
    pool = Pool(np.arange(4), np.array([2, 2, 5, 7]), np.eye(4, dtype=np.float32))
    candidates = ranked(np.array([[0.1, 0.9, 0.5, 0.0]], dtype=np.float32), pool, None, 2)
    assert candidates.documents.tolist() == [[2, 5]]
    np.testing.assert_allclose(candidates.scores, [[0.9, 0.5]])


# -- learning ---------------------------------------------------------------------------------------------------------


def test_it_learns_what_questions_mean_and_survives_saving(tmp_path):
    test = questions(36, "q", 500)
    made = pipeline().fit(CORPUS, training=questions(96))
    plain = pipeline(WordEmbedder(size=48)).fit(CORPUS)
    assert hits(made, test) > hits(plain, test) + 0.5
    note = made.retriever.embedder.notes()[0]
    assert note.startswith("adapted moves queries, after ")
    assert "96 training queries, each moved by a map of others" in note
    assert made.retriever.embedder.learned_report()["used"]
    embedder = made.retriever.embedder
    embedder.save_state(tmp_path)
    again = adapted()
    again.load_state(tmp_path, None)
    assert again.notes() == embedder.notes()
    batch = QueryBatch(test.queries, unseen=None)
    np.testing.assert_array_equal(batch.embeddings(again), QueryBatch(test.queries).embeddings(embedder))


def test_it_is_the_same_every_time():
    maps = [pipeline().fit(CORPUS, training=questions(60)).retriever.embedder._maps for _ in range(2)]
    np.testing.assert_array_equal(*maps)


def test_dev_queries_decide_where_there_are_any():
    training = dataclasses.replace(questions(96), dev=questions(24, "d", 300))
    note = pipeline().fit(CORPUS, training=training).retriever.embedder.notes()[0]
    assert "on 24 dev queries and 96 training queries" in note


def test_what_does_not_win_leaves_queries_as_they_are():
    """Judgments at random, and others on dev: nothing carries over."""
    rng = np.random.default_rng(0)
    training = questions(60)
    for judged in (training, dev := questions(30, "d", 300)):
        for id in judged.qrels:
            judged.qrels[id] = {str(rng.integers(60)): 1}
    made = pipeline().fit(CORPUS, training=dataclasses.replace(training, dev=dev))
    plain = pipeline(WordEmbedder(size=48)).fit(CORPUS)
    asked = questions(10, "q", 700).queries
    assert made.run(QueryBatch(asked)).documents.tolist() == plain.run(QueryBatch(asked)).documents.tolist()
    assert made.retriever.embedder.notes()[0].startswith("adapted leaves queries as they are: it does not win")


def test_passages_are_embedded_and_indexed_once(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    pipeline(WordEmbedder(size=48)).fit(CORPUS, store=store)

    def fail(*arguments, **more):
        raise AssertionError("passages are embedded already")

    monkeypatch.setattr(WordEmbedder, "embed_documents", fail)
    made = pipeline().fit(CORPUS, training=questions(60), store=store)
    assert len([entry for entry in store.entries() if entry.kind == "index"]) == 1
    again = pipeline().fit(CORPUS, training=questions(60), store=store)
    np.testing.assert_array_equal(made.retriever.embedder._maps, again.retriever.embedder._maps)


def test_a_training_query_is_moved_by_a_map_that_has_not_seen_it():
    """Poison one training query's judgments: its vector, for whoever learns from it, is that of the healthy one."""
    training = questions(60)
    poisoned = Training(training.queries, training.qrels | {"t7": {"59": 1}})
    vectors, plain = [], []
    for given in (training, poisoned):
        embedder = pipeline().fit(CORPUS, training=given).retriever.embedder
        unseen = QueryBatch(given.queries, unseen=Unseen.of(given))
        vectors.append(unseen.embeddings(embedder)[7])
        plain.append(QueryBatch(given.queries).embeddings(embedder)[7])
        part = QueryBatch(given.queries, unseen=Unseen.of(given)).view(rows=np.array([3, 7]))
        np.testing.assert_allclose(part.embeddings(embedder)[1], vectors[-1], rtol=1e-6)
    assert np.abs(plain[0] - plain[1]).max() > 1e-6
    if embedder.learned_report()["epoch"] == embedder.epochs:  # stopped alike
        np.testing.assert_array_equal(vectors[0], vectors[1])


def test_documents_come_and_go():
    made = pipeline().fit(CORPUS, training=questions(96))
    embedder = made.retriever.embedder
    before = embedder._maps.copy()
    made.add([Document("new", "answer3 text3 more3"), Document("far", "nothing of it")])
    made.delete(["3", "15"])
    np.testing.assert_array_equal(embedder._maps, before)
    ids = [hit.document.id for hit in made.search("ask3 qword qother", top_k=10)]
    assert "new" in ids
    assert not {"3", "15"} & set(ids)


def test_filters_hold_while_learning_and_asking():
    training = questions(96)
    queries = [dataclasses.replace(query, filter={"even": True}) for query in training.queries]
    training = Training(queries, {id: judged | {"1": 1} for id, judged in training.qrels.items()})
    made = pipeline().fit(CORPUS, training=training)
    best = made.search(Query("q", "ask3 qword", filter={"even": True}), top_k=5)
    assert all(int(hit.document.id) % 2 == 0 for hit in best)


def test_only_some_passages_are_learned_against_where_there_are_many():
    made = pipeline(adapted(max_passages=100))
    documents = [*CORPUS, *(Document(f"x{n}", f"noise{n} words{n} here{n}") for n in range(3000))]
    made.fit(documents, training=questions(60))
    about = made.retriever.embedder.learned_report()
    assert about["passages"] < 3060
    assert any("learns against" in str(remark) for remark in made.remarks.messages)


def test_it_stands_beside_other_lists_and_before_learners():
    hybrid = Hybrid(retrievers=[BM25(), Dense(embedder=adapted())], fusion=Learned())
    made = Pipeline(retriever=hybrid).fit(CORPUS, training=questions(96))
    assert hits(made, questions(24, "q", 500)) > 0.5


def test_a_memory_compares_questions_by_vectors_that_nothing_moved():
    hybrid = Hybrid(retrievers=[Dense(embedder=adapted()), QueryMemory()])
    made = Pipeline(retriever=hybrid).fit(CORPUS, training=questions(60))
    assert isinstance(hybrid.retrievers[1]._encoder, WordEmbedder)
    assert len(made.search("ask3", top_k=3)) == 3


# -- bad input --------------------------------------------------------------------------------------------------------


def test_without_training_queries_it_says_so():
    with pytest.raises(ConfigError, match="adapted"):
        pipeline().fit(CORPUS)


def test_ten_questions_are_too_few():
    made = pipeline().fit(CORPUS, training=questions(10))
    expected = (
        "adapted leaves queries as they are: 10 of 10 training queries have a relevant document, and 20 are needed to "
        "learn from"
    )
    assert made.retriever.embedder.notes() == (expected,)
    assert len(made.search("answer3", top_k=3)) == 3


def test_judgments_of_documents_that_are_not_there_count_for_nothing():
    training = questions(30)
    training = Training(training.queries, {id: {"gone": 1} for id in training.qrels})
    note = pipeline().fit(CORPUS, training=training).retriever.embedder.notes()[0]
    assert "0 of 30 training queries have a relevant document" in note


class Constant(WordEmbedder):
    type = "fake_constant"

    def embed_queries(self, texts):
        return np.ones((len(texts), self.size), dtype=np.float32)


def test_constant_vectors_teach_nothing():
    made = pipeline(Adapted(embedder=Constant(size=4))).fit(CORPUS, training=questions(40))
    assert made.retriever.embedder.learned_report()["used"] is False
    assert np.isfinite(made.run(QueryBatch([Query("q", "ask3")])).scores).all()


def test_state_of_another_base_is_refused(tmp_path):
    made = pipeline().fit(CORPUS, training=questions(60))
    made.retriever.embedder.save_state(tmp_path)
    other = Adapted(embedder=WordEmbedder(size=8))
    with pytest.raises(ModelError, match="fitted on the vectors of another embedder"):
        other.load_state(tmp_path, None)


def test_not_fitted_it_says_so():
    with pytest.raises(NotFittedError, match="'adapted' has not been fitted"):
        adapted().embed_queries(["x"])
