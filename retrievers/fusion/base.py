"""The contract of fusions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from rag.candidates import Candidates
from rag.component import Component

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Contributes", "Doubles", "Fusion"]

Doubles = npt.NDArray[np.float64]


class Contributes(Protocol):
    """Computes the contributions of one list."""

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        """See :meth:`Fusion.contributions`."""


class Fusion(Component):
    """Computes the contribution of a list to the score of each of its documents, and of documents missing from it."""

    kind: ClassVar[str] = "fusion"

    weighs: ClassVar[bool] = False
    """Whether to call :meth:`learn` once the retrievers are fitted."""

    def learn(self, tables: Sequence[Candidates], context: FitContext) -> None:
        """Learn from the results of each retriever for the training queries."""

    def for_list(self, index: int) -> Contributes:
        """The contributions of the list of a retriever, by its index: the same for all, unless lists are weighted."""
        return self

    @abstractmethod
    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        """Contributions of one retriever's list.

        Returns:
            Contributions of the candidates, float64 [n, k] (arbitrary at padding), and of documents not in the list,
            float64 [n].
        """
