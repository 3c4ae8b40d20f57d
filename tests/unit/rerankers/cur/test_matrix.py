"""The offline matrix and the factors made of it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from rag import ConfigError, Corpus, Document, FitContext, ModelError, Passages, Query
from rag.errors import DataError
from rag.learning.training import Training
from rag.rerankers import AnchorQueryFactors, CallableScorer, MatrixFactorization
from rag.rerankers.cur.anchor_queries import anchor_queries, fold_in
from rag.rerankers.cur.anchors import choose_anchors
from rag.rerankers.cur.matrix import score_matrix
from rag.rerankers.cur.matrix_factorisation import _sample, alternating_least_squares, bilinear_form
from rag.store.store import Store
from tests.fakes import WordEmbedder

TEXTS = [" ".join(f"w{(number * 7 + i) % 23}" for i in range(number % 5 + 1)) for number in range(30)]
QUERIES = [Query(f"q{number}", f"w{number} w{number + 3}") for number in range(8)]
TRAINING = Training(QUERIES, {query.id: {"d1": 1} for query in QUERIES})


class Judge:
    """Counts words in common, and the pairs it was asked for."""

    def __init__(self, fail_after=10**9):
        self.pairs = []
        self.fail_after = fail_after

    def __call__(self, pairs):
        if len(self.pairs) + len(pairs) > self.fail_after:
            raise KeyboardInterrupt
        self.pairs += pairs
        return [len(set(q.split()) & set(p.split())) + 0.01 * len(p) for q, p in pairs]


def context(texts=TEXTS, store=None, training=TRAINING):
    corpus = Corpus.from_documents(Document(f"d{number}", text) for number, text in enumerate(texts))
    return FitContext(corpus, Passages.whole(corpus), training, store=store)


def expected(texts=TEXTS, queries=QUERIES):
    judge = Judge()
    return np.array([judge([(query.text, text) for text in texts]) for query in queries], dtype=np.float32)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_pair_is_scored_once_and_kept(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("rag.rerankers.cur.matrix._CHUNK", 64)
    judge = Judge()
    for _ in range(2):
        given = context(store=Store(tmp_path))
        scores = score_matrix(CallableScorer(judge, name="judge"), QUERIES, given, dtype=dtype)
        np.testing.assert_allclose(expected(), scores, rtol=1e-3)
        assert dtype == scores.dtype
        assert len(TEXTS) * len(QUERIES) == len(judge.pairs)
    assert given.ledger.total.scorer_calls == 0


def test_without_a_store_it_is_in_memory():
    given = context()
    np.testing.assert_allclose(expected(), score_matrix(CallableScorer(Judge()), QUERIES, given))
    assert len(TEXTS) * len(QUERIES) == given.ledger.total.scorer_calls


def test_stopped_and_started_again_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("rag.rerankers.cur.matrix._CHUNK", 64)
    monkeypatch.setattr(CallableScorer, "keeps_scores", False)  # the matrix's own memory, not that of pairs
    first, second = Judge(fail_after=150), Judge()
    with pytest.raises(KeyboardInterrupt):
        score_matrix(CallableScorer(first, name="judge"), QUERIES, context(store=Store(tmp_path)))
    assert [f"{entry.kind} {entry.about}" for entry in Store(tmp_path).entries()] == ["score_matrix unfinished"]
    assert Store(tmp_path).verify() == []
    scores = score_matrix(CallableScorer(second, name="judge"), QUERIES, context(store=Store(tmp_path)))
    np.testing.assert_allclose(expected(), scores)
    assert len(first.pairs) == 128
    assert len(TEXTS) * len(QUERIES) == len(first.pairs) + len(second.pairs)
    assert [entry.kind for entry in Store(tmp_path).entries()] == ["score_matrix"]


def test_a_new_document_costs_one_score_per_anchor_query_and_changes_no_other_vector(tmp_path):
    judge = Judge()
    old, new = AnchorQueryFactors(count=6), AnchorQueryFactors(count=6)
    scorer = CallableScorer(judge, name="judge")
    old.build(context(store=Store(tmp_path)), scorer)
    before = len(judge.pairs)
    more = [*TEXTS, "w1 w4 something new"]
    new.build(context(more, store=Store(tmp_path)), scorer)
    assert len(judge.pairs) - before == 6
    np.testing.assert_array_equal(old.vectors, new.vectors[:-1])
    rebuilt = AnchorQueryFactors(count=6)
    rebuilt.build(context(more), CallableScorer(Judge()))
    np.testing.assert_array_equal(rebuilt.vectors, new.vectors)
    np.testing.assert_array_equal(rebuilt.offsets, new.offsets)


def test_folding_in_one_item_is_folding_in_all():
    scores = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    directions = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    for given in (None, directions):
        vectors, offsets = fold_in(scores, given)
        alone = [fold_in(scores[:, [item]], given) for item in range(9)]
        np.testing.assert_allclose(vectors, np.concatenate([folded[0] for folded in alone]), atol=1e-6)
        np.testing.assert_allclose(offsets, np.concatenate([folded[1] for folded in alone]), atol=1e-6)


def test_too_many_calls_are_refused_with_what_they_would_take():
    judge = Judge()
    factors = AnchorQueryFactors(count=6, max_calls=100)
    with pytest.raises(ConfigError, match=r"scoring 180 \(query, passage\) pairs would take about \d+ seconds at") as e:
        factors.build(context(), CallableScorer(judge))
    assert "max_calls allows 100" in str(e.value)
    assert len(judge.pairs) < 40


def test_scores_that_are_not_numbers_are_not_kept(tmp_path):
    scorer = CallableScorer(lambda pairs: [float("nan")] * len(pairs), name="nan")
    for _ in range(2):
        with pytest.raises(ModelError, match="NaN"):
            score_matrix(scorer, QUERIES, context(store=Store(tmp_path)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("train", "9 anchor queries were requested, and there are 8 training queries: lower count"),
        ("corpus_sample", "9 anchor queries were requested, and there are 3 passages with words: lower count"),
        ("no/such/file", "anchor queries: no/such/file cannot be read"),
    ],
)
def test_fewer_queries_than_asked_for(source, message):
    with pytest.raises(DataError, match=message):
        anchor_queries(source, 9, context(["a", "", "b c", "  ", "d"]))


def test_anchor_queries_from_a_file_and_from_the_corpus(tmp_path):
    file = tmp_path / "queries.txt"
    file.write_text("one\n\n two \nthree\n", encoding="utf-8-sig")
    assert [query.text for query in anchor_queries(str(file), 3, context())] == ["one", "two", "three"]
    assert {query.text for query in anchor_queries("corpus_sample", 2, context(["a", "", "b c"]))} == {"a", "b c"}
    before = AnchorQueryFactors(queries=str(file)).spec.cache_key
    file.write_text("one\ntwo\nfour\n", encoding="utf-8")
    assert before != AnchorQueryFactors(queries=str(file)).spec.cache_key


def test_what_it_needs_hangs_on_where_queries_come_from():
    assert AnchorQueryFactors().needs == {"corpus", "training"}
    assert AnchorQueryFactors(queries="corpus_sample").needs == {"corpus"}
    assert MatrixFactorization(embedder=WordEmbedder(), queries="corpus_sample").needs == {"corpus"}


def test_anchors_are_chosen_once_each_and_what_explains_most_comes_first():
    rng = np.random.default_rng(2)
    vectors = np.concatenate([rng.normal(size=(4, 6)) * 10, np.zeros((20, 6))]).astype(np.float32)
    assert set(choose_anchors(vectors, "l2_greedy", 4).tolist()) == {0, 1, 2, 3}
    for how in ("random", "k_means", "l2_greedy"):
        chosen = choose_anchors(vectors, how, 12, seed=3)
        assert len(set(chosen.tolist())) == 12
        assert chosen.tolist() == choose_anchors(vectors, how, 12, seed=3).tolist()
    with pytest.raises(ConfigError, match="anchors: 25 anchor items were requested, and there are 24 passages"):
        choose_anchors(vectors, "random", 25)


def test_l2_greedy_is_qr_with_column_pivoting():
    from scipy.linalg import qr

    vectors = np.random.default_rng(4).normal(size=(30, 8)).astype(np.float32)
    pivots = qr(vectors.T.astype(np.float64), pivoting=True)[2]
    assert pivots[:8].tolist() == choose_anchors(vectors, "l2_greedy", 8).tolist()


def test_a_bilinear_form_is_found_again():
    rng = np.random.default_rng(5)
    queries, items = (rng.normal(size=(n, 4)).astype(np.float32) for n in (30, 40))
    items -= items.mean(0)
    true = rng.normal(size=(4, 4)) + 2 * np.eye(4)
    rows, columns = np.divmod(rng.permutation(1200)[:600], 40)
    scores = np.einsum("ij,ij->i", queries[rows] @ true, items[columns])
    fitted_form = bilinear_form(queries, items, rows, columns, scores, ridge=1e-9, iterations=60)
    np.testing.assert_allclose(true, fitted_form, atol=1e-4)
    held = bilinear_form(queries, items, rows, columns, scores, ridge=1e9, iterations=60)
    np.testing.assert_allclose(held, held[0, 0] * np.eye(4), atol=1e-4)


def test_alternating_least_squares_completes_a_matrix_and_leaves_the_unscored_alone():
    rng = np.random.default_rng(6)
    queries, items = rng.normal(size=(25, 2)), rng.normal(size=(31, 2))
    full = queries @ items.T
    rows, columns = np.divmod(rng.permutation(25 * 30)[:500], 30)
    start = rng.normal(size=(31, 2)).astype(np.float32)
    completed = alternating_least_squares(
        start, rows, columns, full[rows, columns], ridge=1e-3, iterations=100, n_queries=25
    )
    assert start[30].tolist() == completed[30].tolist()
    fit = np.linalg.lstsq(completed[:30].astype(np.float64), full.T[:30], rcond=None)[0]
    np.testing.assert_allclose(full.T[:30], completed[:30] @ fit, atol=0.05)


@pytest.mark.parametrize("variant", ["inductive", "transductive"])
def test_a_sparse_matrix_costs_what_it_says(variant):
    judge, given = Judge(), context()
    factors = MatrixFactorization(embedder=WordEmbedder(), variant=variant, count=5, per_query=7, rank=4)
    fitted = CallableScorer(judge)
    given.fit(fitted)
    factors.build(given, fitted)
    assert 35 == len(judge.pairs) == len(set(judge.pairs))
    assert factors.vectors.shape == (30, 4)
    assert np.isfinite(factors.vectors).all()
    with pytest.raises(ConfigError, match="scoring 35 "):
        MatrixFactorization(embedder=WordEmbedder(), count=5, per_query=7, max_calls=34).build(given, fitted)


def test_passages_of_every_query_are_the_nearest_and_random_others():
    rng = np.random.default_rng(7)
    queries, items = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(50, 4)).astype(np.float32)
    rows, columns = _sample(queries, items, 10, np.random.default_rng(8))
    assert np.repeat(np.arange(6), 10).tolist() == rows.tolist()
    for row, near in enumerate(np.argsort(-(queries @ items.T), axis=1)[:, :5]):
        own = columns[rows == row].tolist()
        assert len(set(own)) == 10
        assert set(near.tolist()) <= set(own)


@pytest.mark.parametrize("factors", [AnchorQueryFactors, partial(MatrixFactorization, embedder=WordEmbedder())])
def test_other_queries_in_the_file_make_other_factors(factors, tmp_path):
    file = tmp_path / "queries.txt"
    cache_keys = set()
    for text in ("one\ntwo", "one\nthree"):
        file.write_text(text)
        cache_keys.add(factors(queries=str(file)).spec.cache_key)
    assert len(cache_keys) == 2
