"""A filter that cuts at a drop of the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Candidates, Floats
from rag.component import Need
from rag.filters.base import Filter
from rag.filters.keep import Keep, check_keep

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GapFilter"]


class GapFilter(Filter):
    """Cuts each list after its last large drop from one score to the next; by default, at the largest.

    A candidate's value is the largest drop at it or below it, as a share of the list's largest drop; so keeping values
    of at least 1 cuts at the largest drop, and a lower threshold cuts later. It needs no common scale of queries, and
    never empties a list: the baseline known in other tools as autocut.

    Args:
        keep: Target on the training queries: ``recall``, ``precision``, ``f_beta``, ``expected_relevant`` (relevant
            documents per query) or ``threshold``. None cuts at the largest drop and learns nothing.
        top_k: Number of candidates considered; the others are dropped. Drops far down the list are noise.
    """

    type = "gap"

    def __init__(self, *, keep: Keep | None = None, top_k: Annotated[int, Field(ge=1)] | None = None) -> None:
        if keep is not None:
            check_keep(self.spec.label, keep)
        self.keep = keep
        self.top_k = top_k

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return Filter.needs if self.keep is not None else frozenset()

    @property
    def threshold(self) -> float:
        return super().threshold if self.keep is not None else 1.0

    @property
    def rule(self) -> str:
        return "each list down to its largest drop" if self.keep is None else "each list down to its last large drop"

    def passes(self, batch: QueryBatch, candidates: Candidates) -> npt.NDArray[np.bool_]:
        passed = super().passes(batch, candidates)
        if self.top_k is None:
            return passed
        return passed | (candidates.mask & (np.arange(passed.shape[1]) >= self.top_k))  # not considered

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        mask = candidates.mask
        scores = np.where(mask, candidates.scores, 0).astype(np.float64)
        if self.top_k is not None:
            mask = mask & (np.arange(scores.shape[1]) < self.top_k)
        drops = np.zeros(scores.shape)
        both = mask[:, 1:] & mask[:, :-1]
        drops[:, :-1][both] = (scores[:, :-1] - scores[:, 1:])[both]
        below = np.maximum.accumulate(drops[:, ::-1], axis=1)[:, ::-1]
        largest = below[:, :1]
        # A list without any drop, such as of a single candidate, is kept whole.
        shares = np.where(largest > 0, below / np.where(largest > 0, largest, 1.0), 1.0)
        return np.where(mask, shares, -np.inf).astype(np.float32)
