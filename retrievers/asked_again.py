"""The contract of retrievers that can search again with feedback from trusted passages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.candidates import Candidates, Floats
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Recipe", "TakesFeedback", "trust"]


@dataclass(frozen=True)
class Recipe:
    """Settings for changing a query by its trusted passages.

    Args:
        documents: Trusted passages that words are taken from.
        terms: Words added to the query, at most.
        original_weight: Weight of the query's own words, 0 to 1.
        vectors: Trusted passages whose vectors are averaged.
        vector_weight: Weight of their mean against the query's own vector, 0 to 1.
    """

    documents: int
    terms: int
    original_weight: float
    vectors: int
    vector_weight: float


class TakesFeedback(Retriever):
    """A retriever that can search again with changed queries."""

    @abstractmethod
    def retrieve_again(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Candidates:
        """Search with queries changed by trusted passages; a query without trusted passages stays unchanged.

        Args:
            batch: The queries.
            trusted: Best first.
            recipe: Settings for changing queries.
        """

    @abstractmethod
    def scores_again(
        self, batch: QueryBatch, trusted: Candidates, recipe: Recipe, candidates: Candidates
    ) -> Mapping[str, Floats]:
        """Scores of the given documents for the changed queries, by name, float32 [n, k] each."""


def trust(trusted: Candidates) -> Floats:
    """How much each passage is trusted, float32 [n, k], sum 1 in each row that has any: 1 / rank. Scores are left out,
    since each kind of list has its own scale: BM25's trust the tenth passage nearly as much as the first.
    """
    weights = trusted.mask / np.arange(1, trusted.documents.shape[1] + 1, dtype=np.float32)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12), dtype=np.float32)
