"""Walks from good candidates, against networkx's PageRank."""

from __future__ import annotations

import networkx as nx
import numpy as np

from rag import Candidates, Corpus, Document, FitContext, Passages, Pipeline, Query, QueryBatch
from rag.graph_walk import page_rank, transitions
from rag.on_neighbors import nearest_neighbors
from rag.rerankers import GraphRank
from rag.retrievers import BM25
from rag.retrievers import GraphRank as GraphRankRetriever
from tests.fakes import TableEmbedder

N = 40


def graph_of(neighbors):
    graph = nx.Graph()
    graph.add_nodes_from(range(len(neighbors)))
    graph.add_edges_from((row, int(near)) for row, listed in enumerate(neighbors) for near in listed if near >= 0)
    return graph


def neighbors_of_random(seed=0, k=4):
    return nearest_neighbors(np.random.default_rng(seed).normal(size=(N, 5)).astype(np.float32), k)


def test_the_walk_is_personalized_page_rank():
    neighbors = neighbors_of_random()
    walk, degree = transitions(neighbors)
    start = np.zeros((2, N), dtype=np.float32)
    start[0, [3, 8]], start[1, 5] = (1.0, 0.25), 1.0
    graph = graph_of(neighbors)
    for restart in (0.5, 0.3):
        actual = page_rank(walk, start, restart)
        for row in range(2):
            weights = dict(enumerate(start[row].tolist()))
            expected = nx.pagerank(graph, alpha=1 - restart, personalization=weights, tol=1e-12)
            np.testing.assert_allclose(actual[row], [expected[node] for node in range(N)], atol=(1 - restart) ** 20)
    assert degree.tolist() == [graph.degree(node) for node in range(N)]
    assert page_rank(walk, np.zeros((1, N), dtype=np.float32), 0.5).tolist() == [[0.0] * N]


def test_a_passage_without_neighbors_stays_where_it_is():
    walk, degree = transitions(np.array([[1], [0], [-1]]))
    actual = page_rank(walk, np.eye(3, dtype=np.float32), 0.5)
    assert actual[2].tolist() == [0.0, 0.0, 1.0]
    assert degree.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(actual[0], [2 / 3, 1 / 3, 0], atol=1e-5)


def fitted(**arguments):
    embedder = TableEmbedder(size=5)
    embedder.rows = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    stage = GraphRank(embedder=embedder, neighbours=4, **arguments)
    corpus = Corpus.from_documents(Document(f"d{n}", str(n), {"even": n % 2 == 0}) for n in range(N))
    stage.fit(FitContext(corpus, Passages.whole(corpus)))
    return stage


def test_scores_are_the_blend_with_hubs_divided_out():
    listed = np.array([[3, 8, 20]])
    given = Candidates.from_scores(listed, np.array([[4.0, 3.0, 2.0]], dtype=np.float32), listed)
    stage = fitted(seeds=2, restart=0.4, hubs=0.5, relevance_weight=0.6, top_k=30)
    batch = QueryBatch([Query("q", "q")])
    table = stage.process(batch, given)
    graph = graph_of(stage.graph)
    walk = nx.pagerank(graph, alpha=0.6, personalization={3: 1.0, 8: 0.5}, tol=1e-12)
    arrived = np.array([walk[node] / graph.degree(node) ** 0.5 for node in range(N)])
    relevance = np.zeros(N)
    relevance[[3, 8, 20]] = 1.0, 0.5, 0.0
    expected = 0.6 * relevance + 0.4 * arrived / arrived.max()
    assert table.documents[0].tolist() == np.argsort(-expected, kind="stable")[:30].tolist()
    np.testing.assert_allclose(table.scores[0], np.sort(expected)[::-1][:30], atol=1e-4)


def test_weight_one_keeps_the_list_and_filters_hold():
    listed = np.array([[4, 8, 20]])
    given = Candidates.from_scores(listed, np.array([[4.0, 3.0, 2.0]], dtype=np.float32), listed)
    kept = fitted(relevance_weight=1.0).process(QueryBatch([Query("q", "q")]), given)
    assert kept.documents[0, :2].tolist() == [4, 8]
    batch = QueryBatch([Query("q", "q", filter={"even": True}), Query("r", "r")])
    table = fitted(relevance_weight=0.1).process(batch, Candidates.stacked([given, given]))
    assert all(document % 2 == 0 for document in table.documents[0].tolist() if document >= 0)
    assert {4, 8, 20} <= set(table.documents[0].tolist())
    assert any(document % 2 for document in table.documents[1].tolist())


def test_retriever_and_stage_are_the_same():
    from rag import LSA

    documents = [Document(f"d{n}", f"word{n % 5} word{n % 7} common") for n in range(30)]
    embedder = LSA(dim=6, stop_words=False)
    stage = Pipeline(retriever=BM25(), stages=[GraphRank(embedder=embedder, neighbours=3)]).fit(documents)
    retriever = Pipeline(retriever=GraphRankRetriever(retriever=BM25(), embedder=embedder, neighbours=3)).fit(documents)
    expected, actual = (
        [(hit.document.id, hit.score) for hit in pipeline.search("word1 word3")] for pipeline in (stage, retriever)
    )
    assert actual == expected
