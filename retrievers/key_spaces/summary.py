"""Keys written by a summarizer."""

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
    """One or several summaries of the document. Documents without a summary get their own text as key.

    Args:
        summarizer: Summarizer that writes the keys.
        retriever: Retriever over the keys. Its ``top_k`` counts documents.
        query: Query encoder. Conversations find less on summaries than on raw text unless they are mapped, by
            ``distilled`` or ``summary``.
        strict: Stop if a document cannot be summarized, instead of using its own text as key.
        pooling: How several summaries of a document give its score.
        temperature: Temperature of ``log_sum_exp``, in units of the score.
        weight: Weight of this kind relative to the others.
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
    """Questions that the document answers, each a key, written by a summarizer with that task (known as doc2query;
    Nogueira and Lin 2019 append them to the text instead).
    """

    type = "pseudo_queries"
