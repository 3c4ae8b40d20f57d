"""The contract of what remembers judged queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.learning.training import Training

__all__ = ["Remembers"]


class Remembers(ABC):
    """A component to which judgments can be added once it is fitted, without anything being fitted again."""

    @abstractmethod
    def add_qrels(self, judged: Training, *, weight: float = 1.0) -> int:
        """Remember more judged queries from now on.

        Args:
            judged: Queries and their judgments. A query whose id is known gets these judgments beside those it has.
            weight: What one of them counts beside one of the training judgments: less than 1 for clicks.

        Returns:
            How many judgments were new or changed.
        """
