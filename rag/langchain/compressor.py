"""The stages of a pipeline as a LangChain document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from rag.errors import DataError
from rag.types import Document, Hit, SearchResult

__all__ = ["PipelineCompressor"]


@runtime_checkable
class Reranks(Protocol):
    """A pipeline whose stages can be run alone: see :meth:`rag.Pipeline.rerank`."""

    def rerank(self, query: str, documents: Sequence[Any], *, top_k: int | None, answer: bool) -> SearchResult:
        """The given documents after all stages."""
        ...


class PipelineCompressor(BaseDocumentCompressor):
    """Reranks and filters documents that any LangChain retriever has found, by the stages of a fitted pipeline.

    A document is known by ``document_id`` or ``id`` of its metadata, or by its own ``id``, which must be that of a
    document of the pipeline. Where several passages of a document come, the first stands for it. Documents come back as
    they were, best first, with ``relevance_score`` in their metadata.

    Args:
        pipeline: A fitted pipeline.
        top_k: Maximum number of documents; None takes all that the last stage returns.

    Raises:
        DataError: A document has no id, or is not in the pipeline's corpus.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    pipeline: Reranks
    top_k: int | None = Field(default=None, ge=1)

    def compress_documents(
        self, documents: Sequence[LangChainDocument], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[LangChainDocument]:
        """Run the stages on the documents of one query."""
        by_id: dict[str, LangChainDocument] = {}
        for document in documents:
            by_id.setdefault(_id(document), document)
        if not by_id:
            return []
        given = [Document(id, document.page_content) for id, document in by_id.items()]
        result = self.pipeline.rerank(query, given, top_k=self.top_k, answer=False)
        return [_scored(by_id.get(hit.document.id) or _as_langchain(hit), hit.score) for hit in result]

    async def acompress_documents(
        self, documents: Sequence[LangChainDocument], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[LangChainDocument]:
        """:meth:`compress_documents` in a thread, so that the event loop goes on."""
        return await run_in_executor(None, self.compress_documents, documents, query, callbacks)


def _scored(document: LangChainDocument, score: float) -> LangChainDocument:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})


def _as_langchain(hit: Hit) -> LangChainDocument:
    """A document that a stage has added."""
    metadata = {**hit.document.metadata, "document_id": hit.document.id}
    return LangChainDocument(id=hit.document.id, page_content=hit.passage, metadata=metadata)


def _id(document: LangChainDocument) -> str:
    id = document.metadata.get("document_id") or document.metadata.get("id") or document.id
    if not isinstance(id, str):
        raise DataError("a document to rerank needs an id: metadata['document_id'], metadata['id'] or its own id")
    return id
