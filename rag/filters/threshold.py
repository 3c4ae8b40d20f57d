"""A filter on the score, raw or on a scale of its query's list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Candidates, Floats
from rag.component import Need
from rag.errors import ConfigError
from rag.filters.base import Filter
from rag.filters.keep import Keep, check_keep

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Threshold", "scaled"]

Scale = Literal["raw", "max", "z_score"]


class Threshold(Filter):
    """Keeps candidates with high scores; all given conditions must hold.

    Scores stay unchanged. With ``keep`` the threshold is chosen on judged training queries; otherwise none are needed.

    Args:
        min_score: Smallest score kept, on the scale of ``scale``. Raw cosines lie in [-1, 1], cross-encoder logits do
            not.
        min_relative: Keep scores that fall short of the query's best by at most ``(1 - min_relative)`` of the best's
            size: 0.8 keeps everything from 80 % of the best score on. The best candidate always passes.
        scale: Scale of the comparison: ``raw``, divided by the absolute value of the query's best (``max``), or in
            standard deviations from the mean of the query's list (``z_score``).
        keep: Target on the training queries, instead of ``min_score``: ``recall``, ``precision``, ``f_beta``,
            ``expected_relevant`` (relevant documents per query) or ``threshold``.
        top_k: Maximum number of candidates to keep.
    """

    type = "threshold"

    def __init__(
        self,
        *,
        min_score: float | None = None,
        min_relative: Annotated[float, Field(ge=0, le=1)] | None = None,
        scale: Scale = "raw",
        keep: Keep | None = None,
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        if keep is not None:
            check_keep(self.spec.label, keep)
            if min_score is not None:
                raise ConfigError("keep chooses the threshold, so min_score cannot be given too", parameter="keep")
        self.min_score = min_score
        self.min_relative = min_relative
        self.scale: Scale = scale
        self.keep = keep
        self.top_k = top_k

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return Filter.needs if self.keep is not None else frozenset()

    @property
    def threshold(self) -> float:
        if self.keep is not None:
            return super().threshold
        return -np.inf if self.min_score is None else self.min_score

    @property
    def threshold_settings(self) -> tuple[str, ...]:
        arguments = (("keep", self.keep), ("min_score", self.min_score), ("min_relative", self.min_relative))
        return tuple(name for name, value in arguments if value is not None)

    @property
    def rule(self) -> str:
        scale = {"raw": "", "max": " times the size of the query's best", "z_score": " standard deviations"}[self.scale]
        parts = []
        if self.threshold > -np.inf:
            parts.append(f"what scores at least {self.threshold:.3g}{scale}")
        if self.min_relative is not None:
            parts.append(f"what scores at least {self.min_relative:.3g} of the query's best")
        return " and ".join(parts)

    def passes(self, batch: QueryBatch, candidates: Candidates) -> npt.NDArray[np.bool_]:
        least, keep = np.float32(self.threshold), candidates.mask
        if not candidates.scores.size:
            return keep
        if least > -np.inf:
            keep = keep & (self.values(batch, candidates) >= least)
        if self.min_relative is not None:
            best = np.where(candidates.mask[:, :1], candidates.scores[:, :1], 0.0)
            keep = keep & (candidates.scores >= best - (1.0 - self.min_relative) * np.abs(best))
        return keep

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        return scaled(candidates, self.scale)

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        keep = self.passes(batch, candidates)
        if not candidates.scores.size:
            return candidates
        return candidates.rescored(np.where(keep, candidates.scores, -np.inf), top_k=self.top_k)


def scaled(candidates: Candidates, scale: Scale) -> Floats:
    """Scores on a scale of their own list, float32 [n, k], ``-inf`` at padding; the order of a row stays."""
    scores, mask = candidates.scores, candidates.mask
    if scale == "raw" or not scores.size:
        return scores
    if scale == "max":
        best = np.abs(np.where(mask[:, :1], scores[:, :1], 1.0))
        return np.asarray(scores / np.maximum(best, np.float32(1e-6)), dtype=np.float32)
    filled = np.where(mask, scores, np.float32(0))
    n = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    mean = filled.sum(axis=1, keepdims=True) / n
    spread = np.sqrt((np.where(mask, scores - mean, 0) ** 2).sum(axis=1, keepdims=True) / n)
    return np.asarray((scores - mean) / np.maximum(spread, 1e-6), dtype=np.float32)
