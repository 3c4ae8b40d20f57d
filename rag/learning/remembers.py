"""The contract of components that remember judged queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.candidates import Floats
    from rag.learning.training import Training

__all__ = ["Remembers"]


class Remembers(ABC):
    """A component that accepts further judgments once fitted, without a new fit."""

    @abstractmethod
    def add_qrels(self, judged: Training, *, weight: float = 1.0) -> int:
        """Remember more judged queries from now on.

        Args:
            judged: Queries and their judgments. A query with a known id gets these judgments in addition.
            weight: Weight of each judgment relative to training judgments: less than 1 for clicks.

        Returns:
            Number of judgments that were new or changed.
        """

    @abstractmethod
    def akin(self, batch: QueryBatch) -> Floats:
        """How likely each query shares a relevant document with a judged one, float32 [n]; 0 where that is too little
        for the memory to say anything.
        """
