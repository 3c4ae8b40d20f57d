"""Searching a fitted pipeline."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast, overload

from rag import tracing
from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.conditions import Condition
from rag.costs import Costs
from rag.errors import ConfigError, DataError
from rag.listening import Listener, listening
from rag.pipeline.base import PipelineBase
from rag.pipeline.queries import check_top_k, read_queries
from rag.pipeline.reranking import Given, given_candidates, run_stages
from rag.pipeline.results import search_results
from rag.remarks import Remark
from rag.stage import Stage
from rag.step import Step
from rag.tracing import names
from rag.types import Answer, IndexedDocument, Query, SearchResult, SearchResults

if TYPE_CHECKING:
    from rag.embedders.recent import RecentVectors
    from rag.langchain.compressor import PipelineCompressor
    from rag.langchain.retriever import PipelineRetriever

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
    ) -> SearchResults: ...
    @refuses_unknown
    def search(
        self,
        query: str | Query | Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult | SearchResults:
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
            DataError: A query has no text, an object is not a query, or a filter is on a field that no document has.
            NotFittedError: The pipeline has not been fitted.
        """
        check_top_k(top_k)
        queries, single = read_queries(query, filter)
        batch = QueryBatch(queries, trace={} if explain else None, answers={} if answer else None)
        results = self.search_batch(batch, [top_k] * len(queries))
        return results[0] if single else results

    async def asearch(
        self,
        query: str | Query | Sequence[str | Query],
        *,
        top_k: int | None = None,
        filter: Condition | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult | SearchResults:
        """:meth:`search` in a thread, so that the event loop is not blocked.

        Models and indexes keep a processor busy, so concurrent calls do not make it faster: pass many queries in one
        call, or let :mod:`rag.serving` combine waiting ones.
        """
        import asyncio

        ask: Any = partial(self.search, query, top_k=top_k, filter=filter, explain=explain, answer=answer)
        return cast("SearchResult | SearchResults", await asyncio.to_thread(ask))

    def search_batch(self, batch: QueryBatch, top_k: Sequence[int | None]) -> SearchResults:
        """Answer a batch with a number of hits per query; otherwise like :meth:`search`.

        Args:
            batch: Checked queries, with the requested trace and answers.
            top_k: Number of hits of each query; None takes all that the last stage returns.
        """
        about = {names.OPERATION: "retrieval", names.TOP_K: max(filter(None, top_k), default=None)}
        with tracing.span("retrieval", "RETRIEVER", about) as span:
            batch.recent = self._recent if batch.recent is None else batch.recent
            results = self._answered(batch, top_k)
            span.costs(batch.ledger.total if tracing.is_on() else None)
            span.returned(results)
        return results

    def _answered(self, batch: QueryBatch, top_k: Sequence[int | None]) -> SearchResults:
        candidates = self.run(batch)
        if any(k is not None for k in top_k):
            candidates = candidates.cut([candidates.documents.shape[1] if k is None else k for k in top_k])
        results = self.results(batch, candidates)
        return SearchResults(self._remarked(batch, result, k) for result, k in zip(results, top_k, strict=True))

    def document(self, id: str) -> IndexedDocument:
        """A document as it is indexed, with its passages.

        Raises:
            DataError: There is no such document, or it was deleted.
            NotFittedError: The pipeline has not been fitted.
        """
        passages = self.passages
        position = passages.corpus.position(id)
        if position is None:
            raise DataError(f"no such document: '{id}'")
        document = passages.corpus[position]
        return IndexedDocument(document.id, document.text, document.metadata, tuple(passages.of(position)))

    @property
    def answering(self) -> tuple[Step, Stage] | None:
        """The stage that writes answers, with its name; None where there is none."""
        return next(
            ((step, part) for step, part in self.steps if isinstance(part, Stage) and part.writes_answers), None
        )

    def answer(
        self, query: Query, candidates: Candidates, *, listen: Listener | None = None
    ) -> tuple[Answer | None, Costs]:
        """The answer of the pipeline's language model to one query, from its results, and the costs of writing it.

        Args:
            query: The query.
            candidates: One row: the table of the answering stage in ``QueryBatch.lists`` of a search.
            listen: Takes pieces of the answer while it is written, where the model hands them out.
        """
        if self.answering is None:
            raise ConfigError("this pipeline writes no answers: it has no stage such as generate")
        step, stage = self.answering
        batch = QueryBatch([query], answers={}, step=step)
        with tracing.span(step.name), batch.ledger.stage(step.name), listening(listen):
            stage.process(batch, candidates)
        return batch.answer_to(query), batch.ledger.total

    def run(self, batch: QueryBatch) -> Candidates:
        """Run a batch through all steps and return the resulting table: the columnar form of :meth:`search`."""
        return self.line().run(batch)

    def results(self, batch: QueryBatch, candidates: Candidates) -> SearchResults:
        """Convert a table to documents with scores."""
        return search_results(self.passages, batch, candidates)

    @refuses_unknown
    def rerank(
        self,
        query: str | Query,
        documents: Sequence[Given],
        *,
        top_k: int | None = None,
        explain: bool = False,
        answer: bool = True,
    ) -> SearchResult:
        """Run the stages alone, on documents of this pipeline's corpus that another search has found.

        Args:
            query: A text or a :class:`Query`.
            documents: Their ids, or documents, or hits, best first and each once. Where a document's text is one of its
                passages, the stages read that passage.
            top_k: Maximum number of hits; by default all that the last stage returns.
            explain: Fill each hit's scores by stage.
            answer: Let a stage such as ``generate``, if there is one, write an answer.

        Raises:
            DataError: The query has no text, or a document is not in the corpus or listed twice.
            NotFittedError: The pipeline has not been fitted.
        """
        check_top_k(top_k)
        queries, single = read_queries(query, None)
        if not single:
            raise DataError("rerank takes one query with its documents: call it once for each")
        batch = QueryBatch(queries, trace={} if explain else None, answers={} if answer else None)
        candidates = run_stages(self.line(), batch, given_candidates(self.passages, documents))
        return self.results(batch, candidates if top_k is None else candidates.head(top_k))[0]

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
        from rag.langchain.retriever import PipelineRetriever

        return PipelineRetriever(
            pipeline=self,
            k=k,
            filter=None if filter is None else dict(filter),
            whole_documents=whole_documents,
            **langchain,
        )

    def as_langchain_compressor(self, *, top_k: int | None = None) -> PipelineCompressor:
        """The stages of this pipeline as a LangChain document compressor: they rerank and filter what any other
        retriever finds among the same documents.

        Args:
            top_k: Maximum number of documents; None takes all that the last stage returns.
        """
        from rag.langchain.compressor import PipelineCompressor

        return PipelineCompressor(pipeline=self, top_k=top_k)

    def _remarked(self, batch: QueryBatch, result: SearchResult, top_k: int | None) -> SearchResult:
        """Add remarks on oddities of the query, and of steps on it, to a result; each is logged once."""
        remarks = [*batch.remarks.get(id(result.query), {}).values()]
        remarks += [] if result.query.filter is None else self.corpus.fields.remarks(result.query.filter)
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
