"""Filters in every retriever: the answer is that of a corpus made only of the documents that pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rag import ConfigError, DataError, Document, Pipeline, Query, RecursiveChunker, Retriever
from rag.retrievers import BM25, HNSW, IVFPQ, Dense, Flat, Hybrid
from tests.fakes import WordEmbedder

WORDS = ["red", "green", "blue", "black", "white", "pink"]
DOCUMENTS = [
    Document(
        f"d{n}",
        " ".join(f"{WORDS[(n * k + k) % 6]} thing {n % 11}." for k in range(1, 2 + n % 4)),
        {"number": n, "even": n % 2 == 0} | ({"tag": WORDS[n % 6]} if n % 3 else {}),
    )
    for n in range(120)
]
QUERIES = ["red thing 3", "blue and pink 7", "white black green", "thing 10 red red"]

RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "bm25": lambda: BM25(top_k=10),
    "dense": lambda: Dense(embedder=WordEmbedder(size=16), index=Flat(), top_k=10),
    "hnsw": lambda: Dense(embedder=WordEmbedder(size=16), index=HNSW(m=8), top_k=10),
    "ivf_pq": lambda: Dense(embedder=WordEmbedder(size=16), index=IVFPQ(n_parts=8), top_k=10),
    "hybrid": lambda: Hybrid(
        retrievers=[BM25(top_k=30), Dense(embedder=WordEmbedder(size=16), index=Flat(), top_k=30)], top_k=10
    ),
}

CONDITIONS: list[tuple[dict[str, Any], Callable[[Document], bool]]] = [
    ({"even": True}, lambda d: d.metadata["even"]),
    ({"number": {"gte": 30, "lt": 60}}, lambda d: 30 <= d.metadata["number"] < 60),  # side by side
    ({"number": {"in": [3, 50, 51, 119]}}, lambda d: d.metadata["number"] in (3, 50, 51, 119)),
    ({"number": 77}, lambda d: d.metadata["number"] == 77),
    ({"tag": {"ne": "red"}, "even": False}, lambda d: d.metadata.get("tag") != "red" and not d.metadata["even"]),
]


def pipeline(name: str, chunked: bool) -> Pipeline:
    chunker = {"chunker": RecursiveChunker(size=16, overlap=0, unit="characters")} if chunked else {}
    return Pipeline(retriever=RETRIEVERS[name](), **chunker)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", RETRIEVERS)
def test_only_what_passes_and_all_of_it_that_would_be_found(name: str, chunked: bool) -> None:
    whole = pipeline(name, chunked).fit(DOCUMENTS)
    for condition, passes in CONDITIONS:
        wanted = [document for document in DOCUMENTS if passes(document)]
        results = whole.search(QUERIES, filter=condition)
        if name == "bm25":  # statistics are those of all documents: only which and how many can be compared
            for result, plain in zip(results, whole.search(QUERIES, top_k=10), strict=True):
                assert all(passes(hit.document) for hit in result)
                assert [hit.document.id for hit in plain if passes(hit.document)] == [
                    hit.document.id for hit in result if hit.document.id in {h.document.id for h in plain}
                ]
            continue
        if name == "hybrid":
            assert all(passes(hit.document) for result in results for hit in result)
            assert all(len(result) == min(10, len(wanted)) for result in results)
            continue
        alone = pipeline(name, chunked).fit(wanted).search(QUERIES)
        for result, other in zip(results, alone, strict=True):
            assert [h.score for h in other] == pytest.approx([h.score for h in result], abs=1e-5)
            assert {h.document.id for h in other if h.score > other[-1].score + 1e-5} <= {h.document.id for h in result}


def test_bm25_equals_its_own_ranking_of_everything() -> None:
    deep = Pipeline(retriever=BM25(top_k=1000)).fit(DOCUMENTS)
    shallow = Pipeline(retriever=BM25(top_k=10)).fit(DOCUMENTS)
    for condition, passes in CONDITIONS:
        for result, every in zip(shallow.search(QUERIES, filter=condition), deep.search(QUERIES), strict=True):
            expected = [(hit.document.id, hit.score) for hit in every if passes(hit.document)][:10]
            assert [(hit.document.id, hit.score) for hit in result] == expected


@pytest.mark.parametrize("name", RETRIEVERS)
def test_each_query_has_its_own_filter(name: str) -> None:
    fitted = pipeline(name, chunked=True).fit(DOCUMENTS)
    filters = [{"even": True}, None, {"number": {"lt": 5}}, {"even": True}, {"number": {"gt": 1000}}]
    queries = [Query(str(n), QUERIES[n % 4], filter=condition) for n, condition in enumerate(filters)]
    together = fitted.search(queries)
    alone = [fitted.search(query) for query in queries]
    assert [[(h.document.id, h.score) for h in result] for result in alone] == [
        [(h.document.id, h.score) for h in result] for result in together
    ]
    assert len(together[4]) == 0
    assert {hit.document.metadata["even"] for hit in together[0]} == {True}


def test_sorted_by_gives_the_same_and_windows_are_slices() -> None:
    shuffled = [DOCUMENTS[(n * 37) % 120] for n in range(120)]
    retriever = RETRIEVERS["dense"]
    fitted = Pipeline(retriever=retriever(), sorted_by="number").fit(shuffled)
    plain = Pipeline(retriever=retriever()).fit(shuffled)
    condition = {"number": {"gte": 20, "lte": 80}}
    assert slice(20, 81) == fitted.passages.where(fitted.corpus.fields.mask(condition))
    for result, other in zip(
        fitted.search(QUERIES, filter=condition), plain.search(QUERIES, filter=condition), strict=True
    ):
        assert [h.score for h in other] == [h.score for h in result]


def test_what_is_refused() -> None:
    fitted = pipeline("bm25", chunked=False).fit(DOCUMENTS)
    with pytest.raises(DataError, match="no document has the field 'color'"):
        fitted.search("red", filter={"color": "red"})
    with pytest.raises(ConfigError, match="unknown test"):
        fitted.search("red", filter={"number": {"above": 3}})
