"""A scorer taught by another: losses against plain loops, a head that finds a teacher that is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rag import ConfigError, Corpus, DataError, Document, Pipeline, Query, QueryBatch, Training
from rag.progress import no_progress
from rag.rerankers import DistilledScorer, Rerank
from rag.rerankers.distilled.head import Lists, learn_head, teaching_loss
from rag.retrievers import Dense
from tests.fakes import TableEmbedder, TableScorer

RNG = np.random.default_rng(0)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def lists(n=5, k=6, d=8, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.arange(k) < rng.integers(2, k + 1, size=n)[:, None]
    teacher = np.where(mask, rng.normal(size=(n, k)), 0).astype(np.float32)
    relevant = (rng.random((n, k)) < 0.3) & mask
    return Lists(unit(rng.normal(size=(n, d))), unit(rng.normal(size=(n, k, d))), teacher, relevant, mask)


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def by_hand(loss, scores, given):
    losses = []
    for row in range(len(scores)):
        real = np.flatnonzero(given.mask[row])
        s, t, relevant = scores[row, real], given.teacher[row, real], given.relevant[row, real]
        if loss == "margin_mse":
            margins = [(s[i] - s[j] - t[i] + t[j]) ** 2 for i in range(len(s)) for j in range(len(s))]
            losses.append(np.mean(margins))
        elif loss == "listwise":
            losses.append(-(softmax(t) * np.log(softmax(s))).sum())
        else:
            order = sorted(range(len(s)), key=lambda i: (not relevant[i], -t[i]))
            weights = softmax(t)
            losses.append(-sum(weights[i] * np.log(softmax(s[order[at:]])[0]) for at, i in enumerate(order)))
    return float(np.mean(losses))


@pytest.mark.parametrize("loss", ["pld", "listwise", "margin_mse"])
def test_losses_are_those_of_the_papers(loss):
    given = lists()
    scores = RNG.normal(size=given.mask.shape).astype(np.float32)
    actual = float(teaching_loss(loss, torch.from_numpy(scores), given))
    np.testing.assert_allclose(actual, by_hand(loss, scores, given), rtol=1e-5)
    scores[0, 0] += 3.0
    variable = torch.from_numpy(scores).requires_grad_(True)
    teaching_loss(loss, variable, given).backward()
    assert np.isfinite(variable.grad.numpy()).all()
    assert (variable.grad.numpy()[~given.mask] == 0).all()


N = 40


def world():
    """Documents and queries in 12 dimensions, and a teacher that sees the vectors turned."""
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(2 * N, 12)))
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    embedder, teacher = TableEmbedder(size=12), TableScorer()
    embedder.rows = vectors
    teacher.table = 10 * (vectors @ turn @ vectors[:N].T).astype(np.float32)
    documents = [Document(f"d{n}", str(n)) for n in range(N)]
    queries = [Query(f"q{n}", str(N + n)) for n in range(N)]
    return embedder, teacher, documents, queries


def agreement(scores, table):
    return np.mean([np.corrcoef(scores[row], table[row])[0, 1] for row in range(len(scores))])


@pytest.mark.parametrize("loss", ["pld", "listwise", "margin_mse"])
def test_the_head_finds_a_teacher_of_its_kind(loss):
    embedder, teacher, _, _ = world()
    documents = np.broadcast_to(embedder.rows[:N], (N, N, 12))
    mask = np.ones((N, N), dtype=bool)
    given = Lists(embedder.rows[N:], documents, teacher.table[N:], np.zeros_like(mask), mask)
    head, losses = learn_head(given, loss=loss, rank=12, epochs=40, learning_rate=0.05, seed=0, progress=no_progress)
    plain = embedder.rows[N:] @ embedder.rows[:N].T
    learned = head.of_queries(embedder.rows[N:]) @ head.of_passages(embedder.rows[:N]).T
    assert min(losses) < losses[0]
    assert agreement(learned, teacher.table[N:]) > 0.7 > 0.3 > abs(agreement(plain, teacher.table[N:]))


def pipeline(teacher, embedder):
    scorer = DistilledScorer(scorer=teacher, rank=12, depth=20, learning_rate=0.02, epochs=5)
    return Pipeline(
        retriever=Dense(embedder=embedder, top_k=30), stages=[Rerank(scorer=scorer, budget=30, scores="scorer")]
    )


def training(queries):
    return Training(queries, {query.id: {f"d{n}": 1} for n, query in enumerate(queries)})


def test_the_teacher_is_asked_while_learning_only(tmp_path):
    embedder, teacher, documents, queries = world()
    fitted = pipeline(teacher, embedder).fit(Corpus.from_documents(documents), training=training(queries))
    taught = fitted.stages[0].scorer
    assert sum(len(rows) for rows, _ in taught.scorer.asked) == N * 20
    batch = QueryBatch(queries[:4])
    table = fitted.run(batch)
    assert sum(len(rows) for rows, _ in taught.scorer.asked) == N * 20
    assert batch.ledger.total.scorer_calls == 4 * 30
    head, vectors = taught._head, taught._vectors
    expected = head.of_queries(embedder.rows[N : N + 4]) @ np.asarray(vectors, dtype=np.float32).T
    for row in range(4):
        np.testing.assert_allclose(table.scores[row], expected[row, table.documents[row]], rtol=1e-4, atol=1e-4)
    assert "pld on training queries held out" in " ".join(fitted.remarks.messages)


def test_documents_come_and_go_without_learning_again():
    embedder, teacher, documents, queries = world()
    fitted = pipeline(teacher, embedder).fit(documents[:-1], training=training(queries[:-1]))
    head = fitted.stages[0].scorer._head
    fitted.add([documents[-1]])
    again = fitted.stages[0].scorer
    assert again._head is head
    np.testing.assert_array_equal(again._vectors[-1], head.of_passages(embedder.rows[N - 1 : N])[0].astype(np.float16))


def test_without_queries_to_learn_from_it_says_so():
    embedder, teacher, documents, queries = world()
    with pytest.raises(ConfigError, match="distilled"):
        pipeline(teacher, embedder).fit(documents)
    with pytest.raises(DataError, match="5 of 5 training queries have candidates, and 20 are needed"):
        pipeline(teacher, embedder).fit(documents, training=training(queries[:5]))
