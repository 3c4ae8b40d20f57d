"""Searching a fitted pipeline."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, overload

from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.conditions import Condition
from rag.pipeline.base import PipelineBase
from rag.pipeline.queries import check_top_k, read_queries
from rag.pipeline.results import search_results
from rag.remarks import Remark
from rag.types import Query, SearchResult

if TYPE_CHECKING:
    from rag.embedders.recent import RecentVectors
    from rag.langchain import PipelineRetriever

__all__ = ["SearchablePipeline"]

logger = logging.getLogger("rag.pipeline")

_SAID = 1000
"""Number of logged remarks to remember, so that each is logged once."""


class SearchablePipeline(PipelineBase):
    """A pipeline that answers queries."""

    _said: set[str]
    """Remarks that were logged."""

    _recent: RecentVectors
    """Vectors of the questions that were asked last."""

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is a sequence of str
        self,
        query: str | Query,
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult: ...
    @overload
    def search(
        self,
        query: Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> list[SearchResult]: ...
    @refuses_unknown
    def search(
        self,
        query: str | Query | Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult | list[SearchResult]:
        """Answer one query, or many in one batch.

        Args:
            query: A text or a :class:`Query`, or a sequence of them.
            top_k: Maximum number of hits per query; by default all that the last stage returns.
            filter: Condition on the metadata of documents, such as ``{"year": {"gte": 1970}}``: see
                :mod:`rag.conditions`. It applies to queries without a filter of their own.
            explain: Fill each hit's scores by stage.
            answer: Let a stage such as ``generate``, if there is one, write an answer to each query.

        Returns:
            A result for each query, in order, each with an equal share of the batch's costs; for a single query, a
            single result.

        Raises:
            DataError: A query has no text, an object is no query, or a filter is on a field that no document has.
            NotFittedError: The pipeline has not been fitted.
        """
        check_top_k(top_k)
        queries, single = read_queries(query, filter)
        batch = QueryBatch(queries, trace={} if explain else None, answers={} if answer else None, recent=self._recent)
        candidates = self.run(batch)
        if top_k is not None:
            candidates = candidates.head(top_k)
        results = [self._remarked(result, top_k) for result in self.results(batch, candidates)]
        return results[0] if single else results

    def run(self, batch: QueryBatch) -> Candidates:
        """Run a batch through all steps and return the resulting table: the columnar form of :meth:`search`."""
        return self.line().run(batch)

    def results(self, batch: QueryBatch, candidates: Candidates) -> list[SearchResult]:
        """Convert a table to documents with scores."""
        return search_results(self.passages, batch, candidates)

    def as_langchain_retriever(
        self,
        *,
        k: int | None = None,
        filter: Condition | None = None,
        whole_documents: bool = False,
        **langchain: Any,
    ) -> PipelineRetriever:
        """This pipeline as a LangChain retriever.

        Args:
            k: Maximum number of documents; None takes all that the last stage returns.
            filter: Condition on the metadata of documents: see :mod:`rag.conditions`.
            whole_documents: Return each document's whole text instead of its best passage.
            langchain: Arguments of any LangChain retriever: ``name``, ``tags``, ``metadata``.

        Raises:
            ConfigError: An argument is unknown, or a value is invalid.
        """
        from rag.langchain import PipelineRetriever

        return PipelineRetriever(
            pipeline=self,
            k=k,
            filter=None if filter is None else dict(filter),
            whole_documents=whole_documents,
            **langchain,
        )

    def _remarked(self, result: SearchResult, top_k: int | None) -> SearchResult:
        """Add remarks on oddities of the query to a result; each is logged once."""
        remarks = [] if result.query.filter is None else [*self.corpus.fields.remarks(result.query.filter)]
        name, limit = min(self._limits(), key=itemgetter(1), default=("", 0))
        if top_k is not None and limit < top_k and len(result) == limit:
            message = f"top_k={top_k} was asked for, and {name} gives {limit} at most: set {name}.top_k to find more"
            remarks.append(Remark("top_k_limited", message, count=limit, total=top_k))
        for remark in remarks:
            if remark.message not in self._said:
                if len(self._said) < _SAID:
                    self._said.add(remark.message)
                logger.warning("%s", remark)
        return replace(result, remarks=tuple(remarks)) if remarks else result

    def _limits(self) -> Iterator[tuple[str, int]]:
        """The retriever and the stages with limits on the number of documents, by their path in the tree."""
        for step, component in self.steps:
            limit = component.spec.arguments.get("top_k")
            if isinstance(limit, int):
                yield step.path, limit
