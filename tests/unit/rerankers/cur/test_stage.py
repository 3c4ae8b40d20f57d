"""The stage: what it spends, what it gives, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from rag import Candidates, ConfigError, Corpus, Document, FitContext, ModelError, Passages, Query, QueryBatch
from rag.rerankers import ADACUR, ANNCUR, AXN, CUR, EmbeddingFactors
from rag.rerankers.cur.factors import of_length_one
from rag.testing.data import pieces
from tests.fakes import BrokenScorer, TableFactors, TableScorer, WordEmbedder

N, QUERIES = 60, 6
rng = np.random.default_rng(0)
VECTORS = rng.normal(size=(N, 8)).astype(np.float32)
TABLE = (rng.normal(size=(QUERIES, 8)) @ VECTORS.T + 0.5 * rng.normal(size=(QUERIES, N))).astype(np.float32)


def context(n=N):
    corpus = Corpus.from_documents(Document(f"d{number}", f"text {number}") for number in range(n))
    return FitContext(corpus, Passages.whole(corpus))


def fitted(cls=CUR, *, table=TABLE, vectors=VECTORS, levels=None, passages=None, **arguments):
    if cls is CUR and "blend" not in arguments:
        arguments.setdefault("scores", "scorer")
    scorer, factors = TableScorer(), TableFactors()
    scorer.table, factors.table, factors.levels = table, vectors, levels
    stage = cls(scorer=scorer, factors=factors, **arguments)
    given = context() if passages is None else FitContext(passages.corpus, passages)
    stage.prepare(given)
    given.fit(stage)
    return stage


def batch(n=QUERIES):
    return QueryBatch([Query(f"q{row}", str(row)) for row in range(n)])


def table(widths=(20,) * QUERIES, seed=1):
    rng = np.random.default_rng(seed)
    noisy = TABLE + rng.normal(size=TABLE.shape)
    listed = np.argsort(-noisy, axis=1)[:, : max(widths)]
    listed = np.where(np.arange(max(widths)) < np.array(widths)[:, None], listed, -1)
    return Candidates.from_scores(listed, np.take_along_axis(noisy, np.maximum(listed, 0), 1), listed)


SETTINGS = [
    {},
    {"solver": "ridge", "rounds": 3},
    {"solver": "pinv", "acquisition": "softmax"},
    {"acquisition": "ucb"},
    {"acquisition": "thompson"},
    {"start": "k_means"},
    {"start": "random", "anchors": 12, "rounds": 3},
    {"strategy": "fixed", "start": "l2_greedy", "anchors": 10},
    {"strategy": "fixed", "start": "random", "solver": "pinv"},
]


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
def test_every_query_costs_the_budget_and_gets_exact_scores(arguments):
    stage = fitted(budget=30, **arguments)
    asked, given = batch(), table((20, 5, 1, 0, 20, 12))
    candidates = stage.process(asked, given)
    assert candidates.counts.tolist() == [30, 30, 30, 0, 30, 30]
    assert asked.ledger.total.scorer_calls == 150
    pairs = [pair for rows, ids in stage.scorer.asked for pair in zip(rows, ids, strict=True)]
    assert 150 == len(set(pairs)) == len(pairs)
    for row in (0, 1, 2, 4, 5):
        np.testing.assert_array_equal(TABLE[row, candidates.documents[row]], candidates.scores[row])
    assert candidates.documents.tolist() == candidates.passages.tolist()


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
def test_a_query_gets_the_same_alone_and_among_others(arguments):
    given = table((20, 5, 1, 0, 20, 12))
    together = fitted(budget=30, **arguments).process(batch(), given)
    for row in range(QUERIES):
        stage = fitted(budget=30, **arguments)
        only = slice(row, row + 1)
        mine = Candidates(given.documents[only], given.scores[only], given.passages[only])
        alone = stage.process(QueryBatch([Query("x", str(row))]), mine)
        count = together.counts[row]
        assert together.documents[row, :count].tolist() == alone.documents[0].tolist()


def test_little_memory_makes_smaller_batches_with_the_same_answer(monkeypatch):
    import rag.rerankers.cur.stage as module

    expected = fitted(budget=30).process(batch(), table())
    monkeypatch.setattr(module, "_MEMORY", 1)
    stage = fitted(budget=30)
    assert expected.documents.tolist() == stage.process(batch(), table()).documents.tolist()
    assert [len(set(rows)) for rows, _ in stage.scorer.asked] == [1] * 60


def test_all_queries_advance_a_round_in_one_call():
    stage = fitted(budget=30, rounds=5)
    stage.process(batch(), table())
    assert [len(rows) for rows, _ in stage.scorer.asked] == [36] * 5


def test_it_finds_what_the_first_stage_missed():
    best = np.argsort(-TABLE, axis=1)[:, :10]
    given = table((8,) * QUERIES)
    listed = np.mean([np.isin(best[row], given.documents[row]).mean() for row in range(QUERIES)])
    candidates = fitted(budget=30).process(batch(), given)
    reached = np.mean([np.isin(best[row], candidates.documents[row]).mean() for row in range(QUERIES)])
    assert listed < 0.7 < 0.95 < reached


def test_in_the_scope_of_a_list_nothing_else_is_scored():
    given = table((20, 5, 1, 0, 20, 12))
    asked = batch()
    candidates = fitted(budget=10, rounds=3, scope=15).process(asked, given)
    assert candidates.counts.tolist() == [10, 5, 1, 0, 10, 10]
    assert asked.ledger.total.scorer_calls == 36
    for row in range(QUERIES):
        assert set(candidates.documents[row, : candidates.counts[row]]) <= set(given.documents[row, :15].tolist())


def test_anncur_is_adacur_with_one_round_and_the_same_anchors():
    shared = {"budget": 30, "anchors": 12, "start": "random", "seed": 5, "levels": TABLE.mean(0)}
    anncur, adacur = fitted(ANNCUR, **shared), fitted(ADACUR, rounds=1, **shared)
    by_anncur, other = (stage.process(batch(), table()) for stage in (anncur, adacur))
    assert by_anncur.documents.tolist() == other.documents.tolist()
    assert anncur.scorer.asked == adacur.scorer.asked


def test_adacur_is_axns_engine_with_the_score_matrix_as_vectors():
    offline = (np.random.default_rng(3).normal(size=(25, 8)) @ VECTORS.T).astype(np.float32)
    matrix = {"vectors": np.ascontiguousarray((offline - offline.mean(0)).T), "levels": offline.mean(0)}
    adacur = fitted(ADACUR, budget=30, rounds=5, **matrix)
    engine = fitted(CUR, budget=30, rounds=5, solver="pinv", **matrix)
    adacur.process(batch(), table())
    engine.process(batch(), table())
    assert adacur.scorer.asked == engine.scorer.asked


def test_documents_come_once_with_their_best_passage():
    corpus = Corpus.from_documents(Document(f"d{n}", " ".join(f"w{n}-{i}" for i in range(10))) for n in range(N // 2))
    passages = pieces(corpus)
    assert N == len(passages)
    scores = np.random.default_rng(4).normal(size=(QUERIES, N)).astype(np.float32)
    given = np.tile(np.arange(5), (QUERIES, 1))
    listed = Candidates.from_scores(given, np.zeros(given.shape), given * 2)
    stage = fitted(table=scores, passages=passages, budget=N)
    candidates = stage.process(batch(), listed)
    best = scores.reshape(QUERIES, -1, 2)
    order = np.argsort(-best.max(2), axis=1)
    assert order.tolist() == candidates.documents.tolist()
    assert (order * 2 + np.take_along_axis(best.argmax(2), order, 1)).tolist() == candidates.passages.tolist()


def test_twins_are_both_found_lowest_position_first():
    vectors, scores = VECTORS.copy(), TABLE.copy()
    vectors[30:], scores[:, 30:] = vectors[:30], scores[:, :30]
    candidates = fitted(vectors=vectors, table=scores, budget=N).process(batch(), table())
    for row in range(QUERIES):
        assert candidates.documents[row, 0] + 30 == candidates.documents[row, 1]


def test_a_blend_mixes_the_orders_by_rank():
    given = table()
    model, first = (fitted(budget=20, rounds=1, blend=weight).process(batch(), given) for weight in (0.0, 1.0))
    assert given.documents.tolist() == first.documents.tolist()
    mixed = fitted(budget=20, rounds=1, blend=0.25).process(batch(), given)
    for row in range(QUERIES):
        for position, score in zip(mixed.documents[row].tolist(), mixed.scores[row].tolist(), strict=True):
            a, b = model.documents[row].tolist().index(position), given.documents[row].tolist().index(position)
            assert score == pytest.approx(0.75 / (61 + a) + 0.25 / (61 + b), rel=1e-5)


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
def test_what_was_not_scored_stays_where_the_model_predicts_it(arguments):
    given, asked = table((40, 5, 1, 0, 40, 33)), batch()
    stage = fitted(budget=20, blend=0.0, **arguments)
    answer = stage.process(asked, given)
    scored = {(row, item) for rows, items in stage.scorer.asked for row, item in zip(rows, items, strict=True)}
    for row in range(QUERIES):
        listed = set(given.documents[row][given.mask[row]].tolist())
        own = {item for query, item in scored if query == row}
        assert set(answer.documents[row, : answer.counts[row]].tolist()) == listed | own
        exact = [position for position in answer.documents[row].tolist() if position in own]
        assert exact == sorted(exact, key=lambda item: (-TABLE[row, item], item))  # the scored keep the scorer's order


def test_null_is_the_scorers_own_answer():
    given = table()
    own, null = fitted(budget=20), fitted(budget=20, blend=None, scores="blended")
    assert own.process(batch(), given).documents.tolist() == null.process(batch(), given).documents.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 5}, "rounds: must be at most the budget \\(5\\), got 10"),
        ({"anchors": 8}, "rounds: must be at most the anchors \\(8\\), got 10"),
        ({"anchors": 100}, "anchors: must be below the budget \\(100\\), got 100"),
        ({"top_k": 101, "scores": "scorer"}, "top_k: must be at most the budget \\(100\\), got 101"),
        ({"strategy": "fixed"}, "start: must be 'random', 'k_means' or 'l2_greedy' with strategy 'fixed'"),
        ({"strategy": "fixed", "start": "random", "budget": 1}, "budget: must be at least 2"),
        ({"start": "random", "scope": 10}, "start: must be 'first_stage' when the scope is a list"),
        ({"interpolation": 0.5}, "alignment: must be 'training' to interpolate"),
        ({"alignment": "training"}, "alignment: must be 'none' with solver 'prior_mean_ridge'"),
        ({"solver": "pinv", "acquisition": "ucb"}, "acquisition: must be 'mean' or 'softmax' with solver 'pinv'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        CUR(scorer=TableScorer(), factors=TableFactors(), **arguments)


def test_more_anchors_than_passages_score_all_of_them():
    stage = fitted(strategy="fixed", start="random", anchors=80, budget=100)
    asked = batch()
    assert [N] * QUERIES == stage.process(asked, table()).counts.tolist()
    assert N * QUERIES == asked.ledger.total.scorer_calls


@pytest.mark.parametrize("answer", [lambda n: np.full(n, np.nan), lambda n: np.zeros(n + 1)])
def test_scores_that_cannot_be_used_are_refused(answer):
    stage = fitted(budget=10)
    stage.scorer = BrokenScorer()
    stage.scorer.answer = answer
    with pytest.raises(ModelError, match="the scorer 'fake_broken' returned"):
        stage.process(batch(), table())


def test_embeddings_are_scaled_to_length_one_and_empty_texts_have_none():
    corpus = Corpus.from_documents([Document("a", "cat dog"), Document("b", ""), Document("c", "cat")])
    given = FitContext(corpus, Passages.whole(corpus))
    factors = EmbeddingFactors(embedder=WordEmbedder())
    factors.build(given, TableScorer())
    np.testing.assert_allclose([1, 0, 1], np.linalg.norm(factors.vectors, axis=1), atol=1e-6)
    np.testing.assert_allclose([[0.6, 0.8]], of_length_one(np.array([[3.0, 4.0]])))
    assert factors.offsets is None
    assert factors.mean_square == pytest.approx(2 / 3)


def test_axn_learns_the_scale_from_training_queries():
    assert AXN(scorer=TableScorer(), factors=TableFactors()).needs == {"training", "candidates"}
    assert CUR(scorer=TableScorer(), factors=TableFactors()).needs == {"candidates", "training_if_given"}
