"""The contract of filters: stages that decide what is relevant enough to be returned."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rag.candidates import PADDING, Candidates, Floats
from rag.errors import NotFittedError
from rag.filters.keep import Cut, Keep, choose_cut
from rag.learning.gains import Gains
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Filter", "descending"]

_LEAST = 1e-30
"""Smallest probability returned: float32 has more distinct steps above it than any list is long."""


class Filter(Stage):
    """Puts the candidates of all queries on one scale and cuts there at one threshold; candidates below it are dropped,
    even if none is left.

    A filter whose scale is a probability returns it as the candidates' score. The score of the previous stage stays in
    the trace: ``explain`` and reports show both. Within a query the order stays the same, unless :attr:`keeps_order` is
    false.
    """

    needs = frozenset({"training", "candidates"})
    _keeps_lists = False

    gives_probabilities: ClassVar[bool] = False
    """Whether :meth:`values` are probabilities of relevance, which then become the candidates' scores."""

    keep: Keep | None
    top_k: int | None
    cut: Cut | None = None
    """Results of the threshold on the calibration queries; None if none was calibrated."""

    @property
    def keeps_order(self) -> bool:
        """Whether candidates of a query always have the order of their scores on this scale."""
        return True

    @property
    def threshold(self) -> float:
        """Smallest value of a candidate that is kept.

        Raises:
            NotFittedError: It has not been chosen yet.
        """
        if self.cut is None:
            raise NotFittedError.of(self)
        return self.cut.threshold

    @property
    def threshold_settings(self) -> tuple[str, ...]:
        """Names of the arguments that set the threshold; empty if there is no threshold."""
        return ("keep",)

    @property
    def rule(self) -> str:
        """The rule in words that follow "Keeps"; empty without a threshold."""
        return f"what it rates at least {self.threshold:.3g}"

    def passes(self, batch: QueryBatch, candidates: Candidates) -> npt.NDArray[np.bool_]:
        """Whether the threshold passes each candidate, before ``top_k``, bool [n, k]."""
        values = self.values(batch, candidates)
        if self.keeps_order and values.size:
            values = np.minimum.accumulate(values, axis=1)
        return candidates.mask & (values >= self.threshold)

    @abstractmethod
    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        """The candidates on the filter's own scale, float32 [n, k], ``-inf`` at padding."""

    def learn(
        self, batch: QueryBatch, candidates: Candidates, relevant: npt.NDArray[np.bool_], context: FitContext
    ) -> tuple[npt.NDArray[np.int64], Any]:
        """Learn the scale from the candidates of training queries.

        Returns:
            The calibration queries, as rows, and their :meth:`values` by a model that has not seen them, ``-inf`` at
            padding. A scale without learning has seen none.
        """
        return np.arange(len(candidates)), self.values(batch, candidates)

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        if self.keep is None:
            return
        batch, candidates = context.training_run()
        relevant = self._relevant(batch, candidates, context)
        rows, values = self.learn(batch, candidates, relevant, context)
        self.cut = choose_cut(self.keep, values, relevant[rows], self.spec.label)

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        threshold = self.threshold
        if not candidates.scores.size:
            return candidates
        values = self.values(batch, candidates)
        scores = values if self.gives_probabilities else candidates.scores
        if not self.keeps_order:
            return candidates.rescored(np.where(values >= threshold, scores, -np.inf), top_k=self.top_k)
        # Kept candidates are at the head of their row, so nothing has to be sorted.
        values = np.minimum.accumulate(values, axis=1)  # rounding in exp may lift one by its last bit
        counts = (values >= threshold).sum(axis=1, keepdims=True)
        width = min(int(counts.max()), self.top_k or candidates.scores.shape[1])
        keep = np.arange(width) < counts
        scores = descending(values[:, :width]) if self.gives_probabilities else scores[:, :width]
        return Candidates(
            np.where(keep, candidates.documents[:, :width], PADDING),
            np.where(keep, scores, np.float32(-np.inf)),
            np.where(keep, candidates.passages[:, :width], PADDING),
        )

    @property
    def _caches_state(self) -> bool:
        return self.keep is not None

    def save_state(self, folder: Path) -> None:
        if self.cut is not None:
            (folder / "cut.json").write_text(json.dumps(self.cut.as_dict()), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:  # type: ignore[override]
        super().load_state(folder, context)
        if (folder / "cut.json").is_file():
            self.cut = Cut(**json.loads((folder / "cut.json").read_text(encoding="utf-8")))

    def _relevant(self, batch: QueryBatch, candidates: Candidates, context: FitContext) -> npt.NDArray[np.bool_]:
        """Whether each candidate of the training queries is relevant, bool [n, k]; unjudged ones are not."""
        assert context.training is not None
        return Gains(batch.queries, context.training.qrels, context.corpus).of(candidates) > 0


def descending(probabilities: Floats) -> Floats:
    """Make rows strictly descending: a value not below the one before it is lowered by the smallest step of float32.

    Otherwise a list of certain candidates, all 1.0, would be sorted by position. Positive float32 values are ordered
    like their bits as integers, so no loop is needed.
    """
    steps = np.arange(probabilities.shape[1], dtype=np.int32)
    bits = np.maximum(probabilities, np.float32(_LEAST)).view(np.int32) + steps
    return (np.minimum.accumulate(bits, axis=1) - steps).view(np.float32)
