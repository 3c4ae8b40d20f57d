"""Retrieval by sparse vectors against a dense product of them."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest
import scipy.sparse

import rag.registry
from rag import Document, Pipeline, Query, QueryBatch
from rag.embedders.sparse import SparseEmbedder
from rag.retrievers import BM25, Hybrid, MinMax, Sparse

RNG = np.random.default_rng(5)
WORDS = [f"w{number}" for number in range(50)]
TEXTS = [" ".join(RNG.choice(WORDS, size=RNG.integers(2, 20))) for _ in range(150)]
QUERIES = [" ".join(RNG.choice(WORDS, size=4)) for _ in range(10)] + ["nothing known"]


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    entry = EntryPoint("sparse_embedder.counted", f"{__name__}:Counted", "rag.components")
    ours = rag.registry.entry_points
    monkeypatch.setattr(
        rag.registry, "entry_points", lambda group: [*ours(group), *([entry] if group == entry.group else [])]
    )
    rag.registry._entries.cache_clear()
    yield
    monkeypatch.undo()
    rag.registry._entries.cache_clear()


class Counted(SparseEmbedder):
    """Square roots of how often words occur, each word worth something else."""

    type = "counted"
    dimension = 50

    def terms(self, columns):
        return [WORDS[column] for column in columns]

    def embed_documents(self, texts):
        rows = np.array([[text.split().count(word) for word in WORDS] for text in texts]).reshape(-1, 50)
        weights = scipy.sparse.csr_array((np.sqrt(rows) * np.linspace(0.5, 2, 50)).astype(np.float32))
        return self.checked(weights, len(texts))

    embed_queries = embed_documents


def documents(texts=TEXTS, first=0):
    return [Document(f"d{first + n}", text, {"even": (first + n) % 2 == 0}) for n, text in enumerate(texts)]


def fitted(**arguments):
    return Pipeline(retriever=Sparse(embedder=Counted(), **{"top_k": 200} | arguments)).fit(documents())


def retrieved(pipeline, filter=None):
    results = pipeline.search([Query(str(n), text, filter=filter) for n, text in enumerate(QUERIES)])
    return [{hit.document.id: hit.score for hit in result} for result in results]


def expected(texts=TEXTS, kept=lambda number: True):
    embedder = Counted()
    scores = (embedder.embed_queries(QUERIES) @ embedder.embed_documents(texts).T).toarray()
    return [
        {f"d{n}": pytest.approx(score, rel=1e-5) for n, score in enumerate(row) if score and kept(n)} for row in scores
    ]


def test_scores_are_inner_products():
    assert retrieved(fitted()) == expected()
    assert expected()[-1] == {}


def test_passages_and_questions_without_a_term():
    pipeline = Pipeline(retriever=Sparse(embedder=Counted(), prune=0.5)).fit(
        [Document("empty", ""), Document("unknown", "no such word"), Document("known", "w49 w1")]
    )
    results = pipeline.search(["w49", "w1", "no such word"])  # of the two weights the smaller was pruned
    assert [[hit.document.id for hit in result] for result in results] == [["known"], [], []]
    pipeline.delete(["known"])
    assert list(pipeline.search("w49")) == []


def test_filters_are_honored():
    assert retrieved(fitted(), {"even": True}) == expected(kept=lambda number: number % 2 == 0)


@pytest.mark.parametrize("impacts", ["float32", "uint8"])
def test_an_updated_index_is_that_of_all_documents(impacts, tmp_path):
    more = [f"{text} w3 w3 w3 w3 w3 w3 w3 w3" for text in TEXTS[:20]]
    pipeline = fitted(impacts=impacts)
    pipeline.save(tmp_path / "index")
    with Pipeline.editing(tmp_path / "index") as edited:
        edited.add(documents(more, first=150))
        edited.delete([f"d{number}" for number in range(0, 150, 3)])
    loaded = Pipeline.load(tmp_path / "index", verify=True)
    wanted = expected([*TEXTS, *more], lambda number: number >= 150 or number % 3)
    actual = retrieved(loaded)
    if impacts == "float32":
        assert actual == wanted
    loaded.compact()
    for rows in (actual, retrieved(loaded)):
        for row, right in zip(rows, wanted, strict=True):
            assert row.keys() == right.keys()
            np.testing.assert_allclose(list(row.values()), [right[key].expected for key in row], rtol=0.01)


def test_small_impacts_take_a_quarter_and_nearly_agree():
    full, small = (fitted(impacts=impacts).retriever for impacts in ("float32", "uint8"))
    assert small._postings.data.nbytes * 4 == full._postings.data.nbytes
    batch = QueryBatch([Query(str(n), text) for n, text in enumerate(QUERIES)])
    a, b = full.retrieve(batch), small.retrieve(batch)
    np.testing.assert_allclose(b.scores[:10, :10], a.scores[:10, :10], rtol=0.01)


def test_few_terms_and_pruned_postings():
    pipeline = fitted(max_active_dims=2)
    assert np.bincount(pipeline.retriever._postings.indices).max() == 2
    pruned = fitted(prune=0.25).retriever._postings
    whole = fitted().retriever._postings
    assert pruned.nnz == pytest.approx(0.75 * whole.nnz, rel=0.06)
    assert pruned.data.min() >= np.quantile(whole.data, 0.25)
    assert len(retrieved(fitted(query_max_active_dims=1))[0]) < len(expected()[0])


def test_hits_say_which_terms_matched():
    pipeline = Pipeline(retriever=Sparse(embedder=Counted())).fit(
        [Document("a", "w0 w0 w0 w0 w49"), Document("b", "w1"), Document("c", "w49 w3")]
    )
    [hit, other] = pipeline.search("w0 w49", explain=True)
    assert hit.keys == {"retriever": "w49 4, w0 0.5"}
    assert other.keys == {"retriever": "w49 4"}
    assert pipeline.search("w0 w49")[0].keys == {}


def test_it_mixes_with_others():
    mixed = Hybrid(retrievers=[BM25(top_k=50), Sparse(embedder=Counted(), top_k=50)], fusion=MinMax(), top_k=10)
    result = Pipeline(retriever=mixed).fit(documents()).search(QUERIES[0], explain=True)
    assert len(result) == 10
    assert any("retriever.1 sparse" in hit.keys for hit in result)
