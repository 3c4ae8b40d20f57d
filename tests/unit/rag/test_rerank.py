"""The stages alone, on documents from elsewhere."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document as LangChainDocument

from rag import DataError, Document, Pipeline, RecursiveChunker, Threshold
from rag.rerankers import Rerank
from rag.retrievers import BM25
from tests.fakes import CountingScorer

DOCUMENTS = [
    Document("fox", "The red fox sleeps. It dreams of geese and of honey."),
    Document("wolf", "The grey wolf hunts the red fox."),
    Document("bear", "The bear eats honey; the fox does not."),
]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    chunker = RecursiveChunker(size=24, unit="characters")
    stages = [Rerank(scorer=CountingScorer(), scores="scorer"), Threshold(top_k=2)]
    return Pipeline(retriever=BM25(), chunker=chunker, stages=stages).fit(DOCUMENTS)


def test_hits_of_a_search_give_the_search(pipeline: Pipeline) -> None:
    plain = Pipeline(retriever=BM25(), chunker=RecursiveChunker(size=24, unit="characters")).fit(DOCUMENTS)
    hits = pipeline.search("honey fox", explain=True)
    again = pipeline.rerank("honey fox", plain.search("honey fox").hits, explain=True)
    assert [(hit.document.id, hit.score, hit.passage) for hit in again] == [
        (hit.document.id, hit.score, hit.passage) for hit in hits
    ]
    assert again[0].explanation == pytest.approx(dict(hits[0].explanation))


def test_ids_in_any_order_and_the_passage_that_a_text_belongs_to(pipeline: Pipeline) -> None:
    assert len(pipeline.rerank("honey", ["wolf", "bear", "fox"])) == 2
    # ".head" of the stages' list is by the scorer, so the passage decides.
    passage = "It dreams of geese"
    [hit] = pipeline.rerank("geese", [Document("fox", passage)])
    assert hit.passage.startswith(passage)
    assert pipeline.rerank("geese", ["fox"])[0].start == 0


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (["fox", "cat"], "document 'cat' is not in the corpus"),
        (["fox", "fox"], "document 'fox' is listed twice"),
        ([3], "expected ids, documents or hits, got int"),
    ],
)
def test_documents_that_are_not_there(pipeline: Pipeline, documents: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pipeline.rerank("honey", documents)  # type: ignore[arg-type]


def test_no_documents(pipeline: Pipeline) -> None:
    assert list(pipeline.rerank("honey", [])) == []


def test_as_a_langchain_compressor(pipeline: Pipeline) -> None:
    given = [
        LangChainDocument(page_content="The red fox sleeps.", metadata={"document_id": "fox", "mine": 1}),
        LangChainDocument(page_content="The bear eats honey", id="bear"),
        LangChainDocument(page_content="It dreams of geese", metadata={"document_id": "fox"}),
    ]
    compressor = pipeline.as_langchain_compressor(top_k=1)
    [best] = compressor.compress_documents(given, "bear honey")
    assert (best.page_content, best.id) == ("The bear eats honey", "bear")
    expected = pipeline.rerank("bear honey", [Document("bear", "The bear eats honey")])[0].score
    assert best.metadata == {"relevance_score": pytest.approx(expected)}
    assert compressor.compress_documents([], "bear") == []
    with pytest.raises(DataError, match="needs an id"):
        compressor.compress_documents([LangChainDocument(page_content="x")], "bear")


async def test_awaited(pipeline: Pipeline) -> None:
    given = [LangChainDocument(page_content="The red fox sleeps.", id="fox")]
    assert len(await pipeline.as_langchain_compressor().acompress_documents(given, "fox")) == 1
