"""Projections of token vectors that learn, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from rag import (
    MUVERA,
    ConfigError,
    Corpus,
    DataError,
    Document,
    FitContext,
    NotFittedError,
    Passages,
    Query,
    QueryBatch,
)
from rag.embedders.base import TokenVectors
from rag.embedders.principal import principal_directions
from rag.learning.training import Training
from rag.rerankers import MaxSim, TokenHead
from rag.rerankers.fine_tuned.head_forms import first_parameters, projected
from rag.rerankers.fine_tuned.head_trainer import HeadTrainer
from rag.rerankers.fine_tuned.mining import Mined
from rag.retrievers import BM25, Dense, LateInteraction
from tests.fakes import CountingScorer, WordEmbedder, word_vector

FORMS = ("linear", "two_layers", "gated", "residual")


def tokens(lengths, dimension, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(sum(lengths), dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TokenVectors(vectors, np.cumsum([0, *lengths]).astype(np.int64))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_starts_as_the_projection(form):
    vectors = tokens([50], 12).vectors
    directions = principal_directions(vectors, 5)
    expected = vectors @ directions
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    parameters = first_parameters(form, directions, 7, seed=0)
    np.testing.assert_allclose(projected(parameters, vectors, np.float32), expected, atol=1e-5)


def naive_score(parameters, query, passage):
    own, other = (projected(parameters, vectors, np.float32) for vectors in (query, passage))
    return float((own @ other.T).max(axis=1).mean())


@pytest.mark.parametrize("block", [1, 1 << 25])
@pytest.mark.parametrize("with_teacher", [False, True])
def test_the_loss_is_that_of_a_plain_loop(with_teacher, block, monkeypatch):
    monkeypatch.setattr("rag.rerankers.fine_tuned.head_trainer._BLOCK", block)
    queries, passages = tokens([3, 1, 4], 6, seed=1), tokens([2, 5, 1, 3, 4, 2], 6, seed=2)
    examples = Mined(np.array([0, 1, 2]), np.array([0, 3, 5]), np.array([[1, 2], [4, -1], [0, 1]]), 0)
    relevant = scipy.sparse.csr_array(
        np.array([[1, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=bool)
    )
    teacher = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32) if with_teacher else None
    parameters = first_parameters("gated", principal_directions(passages.vectors, 4), 5, seed=0)
    trainer = HeadTrainer(
        parameters, queries, passages, examples, relevant, n_negatives=2, teacher=teacher, temperature=0.1,
        learning_rate=1e-2, batch_size=8, seed=0,
    )  # fmt: skip

    def of(source, row):
        return source.vectors[source.ends[row] : source.ends[row + 1]]

    losses = []
    for row in range(3):
        scores = np.array([naive_score(parameters, of(queries, row), of(passages, n)) for n in range(6)]) / 0.1
        mine = [int(examples.positives[row]), *(n for n in examples.negatives[row].tolist() if n >= 0)]
        if with_teacher:
            known = np.append(teacher[:, 0], teacher[:, 1:][examples.negatives >= 0])
            wanted = np.exp(teacher[row, : len(mine)] * 3 / known.std())
            wanted /= wanted.sum()
            given = scores[mine] - np.log(np.exp(scores[mine]).sum())
            losses.append(float((wanted * (np.log(wanted) - given)).sum()))
        else:
            others = [n for n in range(6) if n == mine[0] or not relevant[[row], [n]][0]]
            losses.append(float(np.log(np.exp(scores[others]).sum()) - scores[mine[0]]))
    assert trainer.epoch() == pytest.approx(np.mean(losses), abs=1e-4)
    assert any(not np.array_equal(trainer.parameters[name], value) for name, value in parameters.items())


class NoisyWords(WordEmbedder):
    """Words of one meaning share a little: the rest of their vectors is noise that a head can learn to leave out."""

    type = "fake_noisy_words"

    def embed_query_tokens(self, texts):
        words = [text.lower().split() for text in texts]
        rows = [
            0.5 * word_vector(word.removeprefix("asked").removeprefix("answer"), self.size)
            + word_vector(word, self.size)
            for text in words
            for word in text
        ]
        vectors = np.stack(rows).astype(np.float32) if rows else np.empty((0, self.size), dtype=np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return TokenVectors(vectors, np.cumsum([0, *map(len, words)]).astype(np.int64))


N = 10
PAIRS = [(first, second) for first in range(N) for second in range(first + 1, N)]


def documents():
    return [Document(f"{a}-{b}", f"answer{a} answer{b} filler{(3 * a + 5 * b) % 7}") for a, b in PAIRS]


def training(pairs):
    queries = [Query(f"{a}-{b}", f"asked{a} asked{b}") for a, b in pairs]
    return Training(queries, {query.id: {query.id: 1} for query in queries})


def fitted(retriever, judged, texts=None):
    corpus = Corpus.from_documents(documents() if texts is None else texts)
    context = FitContext(corpus, Passages.whole(corpus), training=judged)
    context.fit(retriever)
    return context


def ranked_first(retriever, pairs):
    table = retriever.retrieve(QueryBatch(training(pairs).queries))
    rows = {f"{a}-{b}": row for row, (a, b) in enumerate(PAIRS)}
    return float(np.mean(table.documents[:, 0] == [rows[f"{a}-{b}"] for a, b in pairs]))


LEARN, DEV, NEW = PAIRS[::2], PAIRS[1::4], PAIRS[3::4]
JUDGED = Training(training(LEARN).queries, training(LEARN).qrels, dev=training(DEV))


def head(**arguments):
    settings = {"embedder": NoisyWords(size=32), "width": 24, "epochs": 5, "patience": 5, "learning_rate": 0.01}
    return TokenHead(**{**settings, **arguments})


@pytest.mark.parametrize("form", ["linear", "residual"])
def test_it_learns_what_new_questions_mean(form):
    plain = LateInteraction(embedder=NoisyWords(size=32))
    learned = LateInteraction(embedder=head(form=form))
    fitted(plain, JUDGED)
    fitted(learned, JUDGED)
    assert ranked_first(plain, NEW) < 0.3
    assert ranked_first(learned, NEW) > 0.7
    report = learned.embedder.learned_report()
    assert report["learned"] > report["frozen"]
    assert report["epoch"] > 0
    [note] = learned.embedder.notes()
    assert f"keeps epoch {report['epoch']}" in note


def test_all_who_read_tokens_take_it(tmp_path):
    embedder = head(negatives_from=BM25(stopwords=None), epochs=1)
    exact, scorer = LateInteraction(embedder=embedder), MaxSim(embedder=embedder.spec.clone())
    space = Dense(embedder=MUVERA(embedder=embedder.spec.clone(), k_sim=1), metric="inner_product")
    pooled = Dense(embedder=embedder.spec.clone())
    context = fitted(exact, JUDGED)
    for component in (scorer, space, pooled):
        context.fit(component)
    assert [remark.code for remark in context.remarks] == []
    batch = QueryBatch(training(NEW).queries)
    table = exact.retrieve(batch)
    rows = np.repeat(np.arange(len(batch)), table.documents.shape[1])
    scores = scorer.score(batch, rows, table.passages.ravel()).reshape(table.scores.shape)
    np.testing.assert_allclose(scores, table.scores, atol=1e-5)
    assert space.retrieve(batch).counts.min() > 0
    texts = [document.text for document in documents()]
    np.testing.assert_allclose(context.embed_passages(pooled.embedder), embedder.embed_documents(texts), atol=2e-3)
    embedder.save_state(tmp_path)
    twin = embedder.spec.clone()
    twin.load_state(tmp_path, context)
    np.testing.assert_array_equal(twin.embed_queries(["asked1"]), embedder.embed_queries(["asked1"]))
    assert twin.learned_report() == embedder.learned_report()


def test_the_same_twice_and_without_dev():
    first, second = head(epochs=2), head(epochs=2)
    everything = training(PAIRS)
    for embedder in (first, second):
        fitted(embedder, everything)
    np.testing.assert_array_equal(first.embed_queries(["asked3"]), second.embed_queries(["asked3"]))
    assert 0 < first.learned_report()["questions"] < len(PAIRS)
    useless = head(epochs=1)
    fitted(useless, Training(everything.queries, everything.qrels, dev=Training(everything.queries[:3], {})))
    assert useless.learned_report()["questions"] == first.learned_report()["questions"]


def test_a_teacher_instead_of_judgments():
    teacher = CountingScorer()
    embedder = head(distilled_from=teacher, epochs=2)
    fitted(embedder, JUDGED)
    [(rows, passages)] = teacher.asked
    assert len(set(zip(rows, passages, strict=True))) == len(rows)
    assert embedder.learned_report()["losses"][1] < embedder.learned_report()["losses"][0]


def test_questions_and_passages_without_a_token():
    judged = training(LEARN)
    queries = [*judged.queries, Query("silent", "")]
    qrels = {**judged.qrels, "silent": {"0-1": 1}, "0-2": {"0-2": 1, "empty": 1}}
    texts = [*documents(), Document("empty", " "), Document("word", "answer1")]
    embedder = head(epochs=1)
    fitted(embedder, Training(queries, qrels, dev=training(DEV)), texts)
    assert np.isfinite(embedder.embed_documents(["", "answer1"])).all()
    assert embedder.embed_query_tokens([""]).vectors.shape == (0, 24)


def test_bad_input():
    with pytest.raises(ConfigError, match="width: must be at most the token vectors' 32 dimensions, got 33"):
        fitted(head(width=33), JUDGED)
    with pytest.raises(DataError, match="'token_head': 5 of 5 training queries have a relevant document"):
        fitted(head(), training(PAIRS[:5]))
    with pytest.raises(ConfigError, match="'token_head' learns from judged training queries"):
        fitted(head(), None)
    with pytest.raises(NotFittedError, match="'token_head' has not been fitted"):
        head().embed_queries(["asked1"])
