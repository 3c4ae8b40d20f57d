"""Tiny models with random weights, trained on: losses fall, state survives, what was stopped goes on."""

from __future__ import annotations

import numpy as np
import pytest

from rag import (
    Candidates,
    ConfigError,
    Corpus,
    DataError,
    Document,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    SentenceTransformerEmbedder,
    Store,
    Training,
)
from rag.learning.gains import Gains
from rag.rerankers import CrossEncoderScorer, FineTunedEmbedder, FineTunedScorer, Rerank
from rag.rerankers.fine_tuned.mining import mined
from rag.retrievers import BM25, Dense
from tests import tiny_models
from tests.fakes import CountingScorer

N = 24
CORPUS = Corpus.from_documents([Document(str(n), f"answer{n} common shared{n % 3}") for n in range(N)])
QUERIES = [Query(f"t{n}", f"ask{n} common") for n in range(N)]
TRAINING = Training(QUERIES, {f"t{n}": {str(n): 1} for n in range(N)})
WORDS = tiny_models.words_of([*CORPUS.texts(), *(query.text for query in QUERIES)])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_models.encoder(WORDS, tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    return tiny_models.cross_encoder(WORDS, tmp_path_factory.mktemp("cross"))


def embedder(model, **arguments):
    base = SentenceTransformerEmbedder(model, precision="float32", device="cpu")
    given = {"epochs": 6, "learning_rate": 2e-3, "skip": 0, "margin": 0.0, "batch_size": 8, "negatives": 2} | arguments
    return FineTunedEmbedder(embedder=base, **given)


def scorer(model, **arguments):
    given = {"epochs": 6, "learning_rate": 2e-3, "skip": 0, "batch_size": 8} | arguments
    return FineTunedScorer(scorer=CrossEncoderScorer(model, precision="float32", device="cpu"), **given)


def falls(component):
    losses = component.learned_report()["losses"]
    return losses[-1] < losses[0]


# -- mining -----------------------------------------------------------------------------------------------------------


def test_negatives_are_the_first_that_are_not_relevant_nor_too_near():
    corpus = Corpus.from_documents([Document(str(n), "x") for n in range(8)])
    positions = np.array([[5, 3, 0, 1, 2, 4]])
    table = Candidates(positions, np.array([[0.9, 0.8, 0.79, 0.7, 0.6, 0.5]], dtype=np.float32), positions)
    gains = Gains([Query("q", "x")], {"q": {"3": 1, "7": 2, "4": 1, "gone": 1}}, corpus)
    made = mined(table, gains, Passages.whole(corpus), n_positives=2, n_negatives=3, skip=1, margin=0.05)
    assert made.positives.tolist() == [7, 3]  # the better grade first, though the list does not have it
    assert made.negatives.tolist() == [[0, 1, 2], [1, 2, -1]]  # 0 is within 5 % of 3
    assert [column.tolist() for column in made.triples()] == [[0] * 5, [7, 7, 7, 3, 3], [0, 1, 2, 1, 2]]
    assert made.lists() == [(0, [7, 3], [0, 1, 2])]


# -- encoders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"dimensions": [8]}, {"distilled_from": CountingScorer()}])
def test_an_encoder_learns_and_survives_saving(encoder, tmp_path, more):
    made = Pipeline(retriever=Dense(embedder=embedder(encoder, **more))).fit(CORPUS, training=TRAINING)
    tuned = made.retriever.embedder
    assert falls(tuned)
    assert "has seen the training queries" in tuned.notes()[0]
    plain = tuned.embedder.embed_queries(["ask3 common"])
    assert np.abs(tuned.embed_queries(["ask3 common"]) - plain).max() > 1e-3  # a copy was trained
    if more:
        return
    made.save(tmp_path / "made")
    again = Pipeline.load(tmp_path / "made")
    expected = made.run(QueryBatch(QUERIES))
    assert again.run(QueryBatch(QUERIES)).documents.tolist() == expected.documents.tolist()
    assert np.mean(expected.documents[:, 0] == np.arange(N)) > 0.6
    again.add([Document("new", "answer3 common")])
    assert "new" in [hit.document.id for hit in again.search("ask3 common", top_k=4)]


def test_weights_are_an_artifact_and_passages_are_embedded_once_for_them(encoder, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    first = Pipeline(retriever=Dense(embedder=embedder(encoder, epochs=1))).fit(CORPUS, training=TRAINING, store=store)
    kinds = [entry.kind for entry in store.entries()]
    assert (kinds.count("weights"), kinds.count("index")) == (1, 1)
    assert not list((tmp_path / "store" / "unfinished").glob("*/*"))
    monkeypatch.setattr(SentenceTransformerEmbedder, "embed_documents", lambda *a, **k: pytest.fail("embedded again"))
    monkeypatch.setattr("rag.rerankers.fine_tuned.embedder.train", lambda *a, **k: pytest.fail("trained again"))
    again = Pipeline(retriever=Dense(embedder=embedder(encoder, epochs=1))).fit(CORPUS, training=TRAINING, store=store)
    batch = QueryBatch(QUERIES)
    assert again.run(batch).documents.tolist() == first.run(QueryBatch(QUERIES)).documents.tolist()


@pytest.mark.slow
def test_training_that_was_stopped_goes_on(encoder, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformerTrainer

    monkeypatch.setattr("rag.rerankers.fine_tuned.training._SAVED_EVERY", 3)
    whole = Pipeline(retriever=Dense(embedder=embedder(encoder))).fit(CORPUS, training=TRAINING)
    steps = []
    step = SentenceTransformerTrainer.training_step

    def killed(self, *arguments, **more):
        steps.append(self.state.global_step)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return step(self, *arguments, **more)

    monkeypatch.setattr(SentenceTransformerTrainer, "training_step", killed)
    store = Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        Pipeline(retriever=Dense(embedder=embedder(encoder))).fit(CORPUS, training=TRAINING, store=store)
    unfinished = next((tmp_path / "store" / "unfinished" / "weights").iterdir())
    (unfinished / "checkpoints" / "checkpoint-99").mkdir()  # as a kill may leave one
    resumed = Pipeline(retriever=Dense(embedder=embedder(encoder))).fit(CORPUS, training=TRAINING, store=store)
    assert steps[8] == 6
    texts = [query.text for query in QUERIES]
    np.testing.assert_allclose(
        resumed.retriever.embedder.embed_queries(texts), whole.retriever.embedder.embed_queries(texts), atol=1e-5
    )


# -- cross-encoders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"loss": "listwise"}, {"distilled_from": CountingScorer()}])
def test_a_cross_encoder_learns_and_survives_saving(cross_encoder, tmp_path, more):
    stage = Rerank(scorer=scorer(cross_encoder, **more), budget=10)
    made = Pipeline(retriever=BM25(), stages=[stage]).fit(CORPUS, training=TRAINING)
    tuned = made.stages[0].scorer
    assert falls(tuned)
    assert made.stages[0]._weight == 0.75  # no blend is learned from questions that it knows
    if more:
        return
    made.save(tmp_path / "made")
    again = Pipeline.load(tmp_path / "made")
    np.testing.assert_array_equal(again.run(QueryBatch(QUERIES)).documents, made.run(QueryBatch(QUERIES)).documents)


# -- bad input --------------------------------------------------------------------------------------------------------


def test_without_training_queries_it_says_so(encoder):
    with pytest.raises(ConfigError, match="fine_tuned"):
        Pipeline(retriever=Dense(embedder=embedder(encoder))).fit(CORPUS)


def test_ten_questions_are_too_few(encoder):
    few = Training(QUERIES[:10], TRAINING.qrels)
    with pytest.raises(DataError, match="10 of 10 training queries have a relevant document .* 20 are needed"):
        Pipeline(retriever=Dense(embedder=embedder(encoder))).fit(CORPUS, training=few)


def test_more_dimensions_than_there_are_are_refused(encoder):
    with pytest.raises(ConfigError, match="must be less than the encoder's own 32, got 64"):
        Pipeline(retriever=Dense(embedder=embedder(encoder, dimensions=[64]))).fit(CORPUS, training=TRAINING)


def test_nothing_left_to_be_a_negative_is_said(encoder):
    with pytest.raises(ConfigError, match="no passage is left as a negative"):
        Pipeline(retriever=Dense(embedder=embedder(encoder, skip=100))).fit(CORPUS, training=TRAINING)
