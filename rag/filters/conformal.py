"""Conformal risk control: an expected recall for the next query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Candidates, Floats
from rag.errors import ConfigError, DataError
from rag.filters.base import Filter
from rag.filters.keep import Cut, Keep, check_classes, check_keep, choose_cut, target_of
from rag.filters.threshold import Threshold
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Conformal"]


class Conformal(Filter):
    """Cuts the scale of another filter so that the expected recall of a new query is at least the target: conformal
    risk control (Angelopoulos et al. 2022, Theorem 1).

    In other filters ``keep: {recall: 0.95}`` means 95 % of the relevant candidates of all training queries together,
    without a guarantee for new ones. Here the share is that of each query's own relevant candidates, averaged over
    queries (a query without any counts as 1), with a small safety margin: with n training queries the loss 1 - recall
    is at most ``(n + 1) / n * (1 - target) - 1 / n`` on them. If new queries are drawn like the training queries, their
    expected recall is at least the target. This is exact for a ``filter`` that learns nothing, such as ``threshold``;
    for one that learns, the calibration queries are those that its networks have not seen, and the guarantee holds as
    far as these resemble new queries.

    Args:
        filter: The filter whose scale is cut; its own ``keep`` and ``top_k`` are ignored.
        keep: Target ``recall``, the only one with this guarantee.
        top_k: Maximum number of candidates to keep, which may break the guarantee.
    """

    type = "conformal"

    def __init__(
        self,
        *,
        filter: Filter = Threshold(scale="z_score"),  # noqa: B008 - a default component is cloned for each instance
        keep: Keep = {"recall": 0.95},  # noqa: B006 - copied for each instance
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        check_keep(self.spec.label, keep)
        target, value = target_of(keep)
        if target != "recall" or value >= 1:
            raise ConfigError(
                f"{self.spec.label}: keep must be a recall below 1, the only guarantee there is, got "
                f"{target} {value:g}",
                parameter="keep",
            )
        self.filter = filter
        self.keep = keep
        self.top_k = top_k

    @property
    def gives_probabilities(self) -> bool:  # type: ignore[override]
        return self.filter.gives_probabilities

    @property
    def keeps_order(self) -> bool:
        return self.filter.keeps_order

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        return self.filter.values(batch, candidates)

    def fit(self, context: FitContext) -> None:
        self._passages = context.passages
        Stage.fit(self.filter, context)  # fit its child components; its own threshold is not used
        batch, candidates = context.training_run()
        relevant = self._relevant(batch, candidates, context)
        rows, values = self.filter.learn(batch, candidates, relevant, context)
        self.cut = self._safe_cut(values, relevant[rows])

    def _safe_cut(self, values: Any, relevant: npt.NDArray[np.bool_]) -> Cut:
        """The largest threshold whose mean loss on the calibration queries, plus one query of loss 1, is at most 1 -
        target.
        """
        assert self.keep is not None
        n, target = len(values), target_of(self.keep)[1]
        allowed = (n + 1) * (1 - target) - 1.0
        if allowed < 0:
            needed = int(np.ceil(1 / (1 - target) - 1))
            raise DataError(
                f"{self.spec.label}: a guaranteed recall of {target:g} needs at least {needed} training "
                f"queries, got {n}"
            )
        check_classes(relevant[~np.isneginf(values)], self.spec.label)
        share = relevant / np.maximum(relevant.sum(axis=1, keepdims=True), 1)
        hits = values[relevant]
        order = np.argsort(-hits, kind="stable")
        ranked = hits[order]
        lost = share.sum() - np.cumsum(share[relevant][order])
        last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        threshold = float(ranked[last[np.argmax(lost[last] <= allowed + 1e-9)]])
        return choose_cut({"threshold": threshold}, values, relevant, self.spec.label)
