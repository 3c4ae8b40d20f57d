"""Unchanged queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.batch import QueryBatch
from rag.conversation import History, conversation_text
from rag.embedders.base import Embedder
from rag.queries.base import QueryEncoder
from rag.types import Query

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["IdentityQuery"]


class IdentityQuery(QueryEncoder):
    """Searches with the query unchanged, or with a part of a conversation; a query without turns stays the same.

    Args:
        history: ``last_turn`` is the user's last turn; ``concatenate`` joins all turns in order, whose end a model may
            cut off; ``latest_first_budget`` takes the last turn, then earlier ones within the budget. A long history
            hides the request of the last turn.
        budget: Longest text of ``latest_first_budget``, in tokens of ``embedder``.
        embedder: Embedder whose tokens are counted; None counts words.
    """

    type = "identity"

    def __init__(
        self,
        *,
        history: History = "last_turn",
        budget: Annotated[int, Field(ge=1)] = 256,
        embedder: Embedder | None = None,
    ) -> None:
        self.history = history
        self.budget = budget
        self.embedder = embedder
        self._tokenizer: Tokenizer | None = None

    def encode(self, batch: QueryBatch) -> QueryBatch:
        if not any(query.turns for query in batch.queries):
            return batch
        count = self._counter()

        def asked(query: Query) -> Query:
            text = conversation_text(query.turns, self.history, budget=self.budget, count=count)
            return replace(query, text=text)

        return batch.with_queries([asked(query) if query.turns else query for query in batch.queries])

    def _counter(self) -> Callable[[str], int] | None:
        if self.embedder is None or self.history != "latest_first_budget":
            return None
        if self._tokenizer is None:
            self._tokenizer = self.embedder.tokenizer()
        tokenizer = self._tokenizer
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
