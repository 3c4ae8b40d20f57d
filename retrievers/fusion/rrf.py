"""Reciprocal rank fusion."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates
from rag.component import Tunable
from rag.retrievers.fusion.base import Doubles, Fusion

__all__ = ["RRF"]


class RRF(Fusion):
    """1 / (k + rank), ranks from 1 (Cormack, Clarke and Buettcher, SIGIR 2009). Looks at ranks only.

    Safe when nothing is known of the scores; with one strong and one weak list it is often below the strong one alone.

    Args:
        k: Larger means the first ranks matter less; 60 is the paper's.
    """

    type = "rrf"

    def __init__(
        self, *, k: Annotated[float, Field(ge=0), Tunable(choices=(10.0, 30.0, 60.0, 100.0), gain=0.002)] = 60
    ) -> None:
        self.k = k

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        n, width = candidates.scores.shape
        values = 1.0 / (self.k + np.arange(1, width + 1, dtype=np.float64))
        return np.broadcast_to(values, (n, width)), np.zeros(n)
