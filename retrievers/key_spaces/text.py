"""Keys that are the document's own text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Ints
from rag.conversation import History, conversation_text
from rag.corpus.passages import Passages
from rag.fitting import FitContext
from rag.queries.base import QueryEncoder
from rag.queries.identity import IdentityQuery
from rag.retrievers.key_spaces.base import Key, Pooling
from rag.stage import Retriever
from rag.summarizer import Source

__all__ = ["TextKey"]


class TextKey(Key):
    """The text itself: the passages of the chunker, or a part of each conversation.

    Args:
        retriever: Retriever over the texts. Its ``top_k`` counts documents.
        query: Query encoder.
        history: The part of a conversation that is its key, as in ``identity``; documents without turns keep their
            whole text. None uses the passages, also of conversations.
        budget: Longest text of ``latest_first_budget``, in words.
        pooling: How several passages of a document give its score.
        temperature: Temperature of ``log_sum_exp``, in units of the score.
        weight: Weight of this kind relative to the others.
    """

    type = "text"
    is_read = True

    def __init__(
        self,
        *,
        retriever: Retriever,
        query: QueryEncoder = IdentityQuery(),  # noqa: B008 - a default component is cloned for each instance
        history: History | None = None,
        budget: Annotated[int, Field(ge=1)] = 256,
        pooling: Pooling = "max",
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        weight: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(retriever=retriever, query=query, pooling=pooling, temperature=temperature, weight=weight)
        self.history = history
        self.budget = budget

    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        if self.history is not None:
            history, budget = self.history, self.budget
            return [
                [conversation_text(source.turns, history, budget=budget) if source.turns else source.text]
                for source in sources()
            ]
        if self.pooling == "max":
            return None
        passages = context.passages
        texts = (text for block in passages.iter_texts() for text in block)
        pieces = groupby(zip(passages.document.tolist(), texts, strict=True), key=lambda item: item[0])
        return [[text for _, text in piece] for _, piece in pieces]

    def speakers(self, passages: Passages, owners: Ints) -> Ints:
        if self.history is not None:
            return super().speakers(passages, owners)
        return np.arange(len(passages), dtype=np.int64)
