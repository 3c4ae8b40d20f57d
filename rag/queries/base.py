"""The contract of query encoders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rag.batch import QueryBatch
from rag.component import Component

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.stage import Retriever
    from rag.summarizer import Source

__all__ = ["QueryEncoder"]


class QueryEncoder(Component):
    """Transforms the queries of a batch for searching keys: into other texts, or vectors of their own."""

    kind: ClassVar[str] = "query"

    def check(self, retriever: Retriever) -> None:
        """Refuse a retriever that it cannot serve; by default it serves any.

        Raises:
            ConfigError: The retriever is unsuitable.
        """

    def learn(self, context: FitContext, sources: Sequence[Source], keys: Sequence[Sequence[str]]) -> None:
        """Learn how sources are mapped to their keys. Called once the keys are made, where it ``needs`` keys: then two
        that are alike differ when their keys do.

        Args:
            context: The context of fitting.
            sources: Sources of the keys.
            keys: Key texts of each source.
        """

    @abstractmethod
    def encode(self, batch: QueryBatch) -> QueryBatch:
        """The batch to search with: the same queries in the same order, their texts replaced, or what
        :meth:`~rag.batch.QueryBatch.embeddings` gives. Costs are booked to the ledger of ``batch``.
        """
