"""The contract of fusions."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rag.candidates import Candidates
from rag.component import Component

__all__ = ["Doubles", "Fusion"]

Doubles = npt.NDArray[np.float64]


class Fusion(Component):
    """Says what a list contributes to the score of each of its documents, and of those it does not have."""

    kind: ClassVar[str] = "fusion"

    @abstractmethod
    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        """Contributions of one retriever's list.

        Returns:
            float64 [n, k] for the candidates (anything at padding), and float64 [n] for documents not in the list.
        """
