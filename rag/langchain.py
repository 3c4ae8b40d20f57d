"""A pipeline as a LangChain retriever."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from rag.pipeline import Pipeline
from rag.types import Hit

__all__ = ["PipelineRetriever"]


class PipelineRetriever(BaseRetriever):
    """Answers with LangChain documents: the passage as ``page_content``; in the metadata the document's own, and
    ``document_id``, ``score``, ``start`` and ``end`` of the passage in the document, and what the chunker knows.

    Args:
        pipeline: A fitted pipeline.
        k: At most this many documents; None takes all that the last stage leaves. ``invoke(query, k=3)`` overrides it.
        filter: Only documents whose metadata pass (see :mod:`rag.conditions`). ``invoke(query, filter={...})``
            overrides it.
        whole_documents: Give each document's whole text instead of its best passage.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    pipeline: Pipeline
    k: int | None = Field(default=None, ge=1)
    filter: dict[str, Any] | None = None
    whole_documents: bool = False

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> list[LangChainDocument]:
        return self._found(query, k, filter)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> list[LangChainDocument]:
        # Models and indexes hold the processor, not a socket: a thread keeps the event loop free.
        return await run_in_executor(None, self._found, query, k, filter)

    def _found(self, query: str, k: int | None, filter: dict[str, Any] | None) -> list[LangChainDocument]:
        top_k = self.k if k is None else k
        result = self.pipeline.search(
            query, top_k=top_k, filter=self.filter if filter is None else filter, answer=False
        )
        return [self._document(hit) for hit in result]

    def _document(self, hit: Hit) -> LangChainDocument:
        metadata: dict[str, Any] = dict(hit.document.metadata) | dict(hit.passage_metadata)
        metadata |= {"document_id": hit.document.id, "score": hit.score, "start": hit.start, "end": hit.end}
        text = hit.document.text if self.whole_documents else hit.passage
        return LangChainDocument(id=hit.document.id, page_content=text, metadata=metadata)
