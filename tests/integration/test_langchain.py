"""LangChain: the official retriever tests, both ways of calling, and any ``Embeddings`` object."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests

from rag import ConfigError, Document, LangChainEmbedder, ModelError, Pipeline, RecursiveChunker
from rag.langchain.retriever import PipelineRetriever
from rag.retrievers import BM25, Dense

DOCUMENTS = [
    Document("fox", "The red fox sleeps. It dreams of geese.", {"title": "Fox"}),
    Document("wolf", "The grey wolf hunts the red fox."),
    Document("goose", "Geese fear the fox and the wolf."),
    Document("bear", "The bear eats honey; the fox does not."),
]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    chunker = RecursiveChunker(size=30, unit="characters")
    return Pipeline(retriever=BM25(), chunker=chunker).fit(DOCUMENTS)


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _pipeline(self, pipeline: Pipeline) -> None:
        self.fitted = pipeline

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return PipelineRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"pipeline": self.fitted}

    @property
    def retriever_query_example(self) -> str:
        return "fox"


def test_documents_carry_score_and_place(pipeline: Pipeline) -> None:
    first = pipeline.as_langchain_retriever(k=1).invoke("red fox sleeps")[0]
    assert ("fox", "The red fox sleeps.") == (first.id, first.page_content)
    assert {key: value for key, value in first.metadata.items() if key != "score"} == {
        "title": "Fox",
        "document_id": "fox",
        "start": 0,
        "end": 19,
    }
    assert pipeline.search("red fox sleeps")[0].score == first.metadata["score"]
    whole = pipeline.as_langchain_retriever(k=1, whole_documents=True).invoke("red fox sleeps")[0]
    assert DOCUMENTS[0].text == whole.page_content


def test_async_in_parallel_and_in_a_chain(pipeline: Pipeline) -> None:
    retriever = pipeline.as_langchain_retriever(k=2)

    async def ask() -> list[list[LangChainDocument]]:
        return await asyncio.gather(*(retriever.ainvoke(text) for text in ("honey", "geese", "wolf")))

    assert [retriever.invoke(text) for text in ("honey", "geese", "wolf")] == asyncio.run(ask())
    chain = retriever | RunnableLambda(lambda documents: [document.id for document in documents])
    assert chain.invoke("honey") == ["bear"]


def test_a_bad_k_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        pipeline.as_langchain_retriever(k=0)
    with pytest.raises(ConfigError, match="must be a whole number of at least 1"):
        pipeline.as_langchain_retriever().invoke("fox", k=0)


def test_any_embeddings_object() -> None:
    embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=24), name="fake-24", batch_size=3)
    pipeline = Pipeline(retriever=Dense(embedder=embedder)).fit(DOCUMENTS)
    result = pipeline.search(DOCUMENTS[2].text)
    assert result[0].document.id == "goose"
    assert 1.0 == pytest.approx(result[0].score, abs=1e-5)
    with pytest.raises(ConfigError, match="is a Python object"):
        pipeline.to_yaml()


def test_objects_without_a_name_are_never_taken_for_another() -> None:
    first, second = (LangChainEmbedder(DeterministicFakeEmbedding(size=8)) for _ in range(2))
    assert first.fingerprint != second.fingerprint
    named = [LangChainEmbedder(DeterministicFakeEmbedding(size=8), name="a") for _ in range(2)]
    assert named[0].fingerprint == named[1].fingerprint


class Ragged(DeterministicFakeEmbedding):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[0.5] * (self.size + number) for number in range(len(texts))]


class Forgetful(DeterministicFakeEmbedding):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return super().embed_documents(texts[:-1])


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [(Ragged(size=4), "vectors of different lengths"), (Forgetful(size=4), "returned 3 vectors for 4 texts")],
)
def test_unusable_vectors_are_refused(embeddings: DeterministicFakeEmbedding, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Pipeline(retriever=Dense(embedder=LangChainEmbedder(embeddings))).fit(DOCUMENTS)
