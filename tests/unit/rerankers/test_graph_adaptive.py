"""Walking a graph while reranking, against a plain loop of the paper's algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Candidates, ConfigError, Corpus, Document, FitContext, Passages, Query, QueryBatch
from rag.on_neighbors import nearest_neighbors
from rag.rerankers import GraphAdaptive
from rag.store.store import Store
from tests.fakes import TableEmbedder, TableScorer, WordEmbedder

SEEDS = st.integers(0, 2**32 - 1)


def by_hand(graph, listed, scores, budget, size):
    """GAR's Algorithm 1 for one query; ties in the frontier by position."""
    taken, turn = [], 0
    while len(taken) < budget:
        size_now = min(size, budget - len(taken))
        head = [item for item in listed if item not in taken]
        best = {}
        for item in taken:
            for near in graph[item]:
                if near >= 0 and near not in taken:
                    best[int(near)] = max(best.get(int(near), -np.inf), scores[item])
        frontier = sorted(best, key=lambda item: (-best[item], item))
        pools = [head, frontier] if turn % 2 == 0 else [frontier, head]
        picks = pools[0][:size_now]
        picks += [item for item in pools[1] if item not in picks][: size_now - len(picks)]
        if not picks:
            break
        taken += picks
        turn += 1
    return taken


@given(SEEDS, st.integers(1, 5), st.integers(1, 25), st.integers(1, 6))
def test_it_scores_what_a_plain_loop_scores(seed, neighbours, budget, size):
    rng = np.random.default_rng(seed)
    n = 30
    table = rng.normal(size=(3, n)).astype(np.float32)
    lists = [rng.permutation(n)[:length].tolist() for length in (8, 1, 0)]
    listed = np.array([ids + [-1] * (8 - len(ids)) for ids in lists])
    given = Candidates.from_scores(listed, -np.tile(np.arange(8.0), (3, 1)), listed)
    embedder, scorer = TableEmbedder(size=4), TableScorer()
    embedder.rows, scorer.table = rng.normal(size=(n, 4)).astype(np.float32), table
    stage = GraphAdaptive(scorer=scorer, embedder=embedder, neighbours=neighbours, budget=budget, batch_size=size)
    corpus = Corpus.from_documents(Document(f"d{number}", str(number)) for number in range(n))
    stage.fit(FitContext(corpus, Passages.whole(corpus)))
    batch = QueryBatch([Query(f"q{row}", str(row)) for row in range(3)])
    candidates = stage.process(batch, given)
    graph = nearest_neighbors(embedder.rows, neighbours)
    for row in range(3):
        taken = by_hand(graph, lists[row], table[row], budget, size)
        order = sorted(taken, key=lambda item: (-table[row, item], item))
        assert order == [item for item in candidates.documents[row].tolist() if item >= 0]
    assert candidates.counts.sum() == batch.ledger.total.scorer_calls


def test_neighbours_are_the_nearest_without_the_passage_itself():
    vectors = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    vectors[7] *= 9  # length is no matter
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = scaled @ scaled.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1, kind="stable")[:, :5]
    assert expected.tolist() == nearest_neighbors(vectors, 5).tolist()
    assert nearest_neighbors(vectors[:2], 3).tolist() == [[1, -1, -1], [0, -1, -1]]


def test_one_graph_serves_all_budgets(tmp_path):
    class Counting(WordEmbedder):
        type = "fake_counting_graph"
        calls = 0

        def embed_documents(self, texts, *, advance=None):
            Counting.calls += len(texts)
            return super().embed_documents(texts)

    corpus = Corpus.from_documents(Document(f"d{number}", f"a{number} b{number % 3}") for number in range(9))
    for budget in (2, 3):
        scorer = TableScorer()
        stage = GraphAdaptive(scorer=scorer, embedder=Counting(), neighbours=2, budget=budget)
        stage.fit(FitContext(corpus, Passages.whole(corpus), store=Store(tmp_path)))
        assert Counting.calls == 9
    assert sorted(entry.kind for entry in Store(tmp_path).entries()) == ["embeddings", "graph"]


def test_more_cannot_be_kept_than_was_paid_for():
    with pytest.raises(ConfigError, match="top_k: must be at most the budget \\(3\\), got 4"):
        GraphAdaptive(scorer=TableScorer(), embedder=WordEmbedder(), budget=3, top_k=4)
