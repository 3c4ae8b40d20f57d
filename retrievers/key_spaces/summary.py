"""Documents found by what a summarizer writes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from rag.component import Runtime
from rag.fitting import FitContext
from rag.queries.base import QueryEncoder
from rag.queries.identity import IdentityQuery
from rag.retrievers.key_spaces.base import Key, Pooling
from rag.stage import Retriever
from rag.summarizer import Source, Summarizer

__all__ = ["PseudoQueriesKey", "SummaryKey"]


class SummaryKey(Key):
    """A summary of the document, or several. What the summarizer makes nothing of is keyed by its own text.

    Args:
        summarizer: Writes the keys.
        retriever: Searches them. Its ``top_k`` counts documents.
        query: What is asked. A conversation on summaries finds less than on raw text, unless it is mapped: by
            ``distilled`` or ``summary``.
        strict: Stop when a document cannot be summarized, instead of keying it by its own text.
        pooling: How several summaries of one document make its score.
        temperature: Of ``log_sum_exp``, in units of the score.
        weight: How much this kind counts beside the others.
    """

    type = "summary"

    def __init__(
        self,
        *,
        summarizer: Summarizer,
        retriever: Retriever,
        query: QueryEncoder = IdentityQuery(),  # noqa: B008 - a default component is cloned for each instance
        strict: Annotated[bool, Runtime()] = False,
        pooling: Pooling = "max",
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        weight: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(retriever=retriever, query=query, pooling=pooling, temperature=temperature, weight=weight)
        self.summarizer = summarizer
        self.strict = strict

    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        summaries = self.summarizer.summarize(
            sources(), store=context.store, ledger=context.ledger, progress=context.progress, strict=self.strict
        )
        self._keeps_lists = not summaries.problems
        return list(summaries.texts)


class PseudoQueriesKey(SummaryKey):
    """Questions that the document answers, written by a summarizer whose task they are (Nogueira and Lin 2019, who
    append them to the text, call it doc2query). Each is a key.
    """

    type = "pseudo_queries"
