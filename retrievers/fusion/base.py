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
    """Says what one list contributes."""

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        """See :meth:`Fusion.contributions`."""


class Fusion(Component):
    """Says what a list contributes to the score of each of its documents, and of those it does not have."""

    kind: ClassVar[str] = "fusion"

    weighs: ClassVar[bool] = False
    """Whether :meth:`learn` is to be called once the retrievers are fitted."""

    def learn(self, tables: Sequence[Candidates], context: FitContext) -> None:
        """Learn from what each retriever finds for the training queries."""

    def for_list(self, index: int) -> Contributes:
        """What says what the list of a retriever, by its place, contributes: the same for all, unless it weighs."""
        return self

    @abstractmethod
    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        """Contributions of one retriever's list.

        Returns:
            float64 [n, k] for the candidates (anything at padding), and float64 [n] for documents not in the list.
        """
