"""A pipeline as a LangChain retriever."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field, model_validator

from rag.conditions import Condition, check_condition
from rag.errors import ConfigError, DataError, did_you_mean
from rag.types import Hit, Query, SearchResult

__all__ = ["PipelineRetriever"]


@runtime_checkable
class Searchable(Protocol):
    """What answers one query, as a fitted :class:`rag.Pipeline` does."""

    def search(self, query: str | Query, *, top_k: int | None, filter: Condition | None, answer: bool) -> SearchResult:
        """The hits of a query, best first: see :meth:`rag.Pipeline.search`."""
        ...


class PipelineRetriever(BaseRetriever):
    """Answers with LangChain documents: the passage as ``page_content``; in the metadata the document's own, and
    ``document_id``, ``score``, ``start`` and ``end`` of the passage in the document, what the chunker knows, and of
    documents read from files ``source`` (address or path), ``page`` (from 1) and ``headings``.

    Args:
        pipeline: A fitted pipeline.
        k: At most this many documents; None takes all that the last stage leaves. ``invoke(query, k=3)`` overrides it.
        filter: Only documents whose metadata pass (see :mod:`rag.conditions`). ``invoke(query, filter={...})``
            overrides it.
        whole_documents: Give each document's whole text instead of its best passage.

    Raises:
        ConfigError: There is no such argument, here or of ``invoke``: one that is ignored would answer with what it
            was to keep out.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    pipeline: Searchable
    k: int | None = Field(default=None, ge=1)
    filter: dict[str, Any] | None = None
    whole_documents: bool = False

    @model_validator(mode="before")
    @classmethod
    def _check_arguments(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name in given:
                if name not in cls.model_fields:
                    raise _unknown(name, "as_langchain_retriever", _OWN)
            if given.get("filter") is not None:
                check_condition(given["filter"])
        return given

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
        **unknown: Any,
    ) -> list[LangChainDocument]:
        _refuse(unknown)
        return self._search(query, k, filter)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
        **unknown: Any,
    ) -> list[LangChainDocument]:
        _refuse(unknown)
        # Models and indexes hold the processor, not a socket: a thread keeps the event loop free.
        return await run_in_executor(None, self._search, query, k, filter)

    def _search(self, query: str, k: int | None, filter: dict[str, Any] | None) -> list[LangChainDocument]:
        if not isinstance(query, (str, Query)):
            raise DataError(f"a query is one text or a rag.Query, got {type(query).__name__}")
        top_k = self.k if k is None else k
        result = self.pipeline.search(
            query, top_k=top_k, filter=self.filter if filter is None else filter, answer=False
        )
        return [self._document(hit) for hit in result]

    def _document(self, hit: Hit) -> LangChainDocument:
        text = hit.document.text if self.whole_documents else hit.passage
        return LangChainDocument(id=hit.document.id, page_content=text, metadata=hit.flat_metadata)


_OWN = ("k", "filter", "whole_documents")
_ALSO = {"top_k": "k", "filters": "filter", "where": "filter", "search_kwargs": "k and filter themselves"}
"""What other retrievers call them."""


def _refuse(unknown: dict[str, Any]) -> None:
    for name in unknown:
        raise _unknown(name, "invoke", ("k", "filter"))


def _unknown(name: str, function: str, valid: tuple[str, ...]) -> ConfigError:
    hint = f"; did you mean {_ALSO[name]}? (valid: {', '.join(valid)})" if name in _ALSO else did_you_mean(name, valid)
    return ConfigError(f"unknown argument '{name}' of {function}{hint}", parameter=name)
