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
"""Probabilities below this are given as this: float32 has finer steps above it than any list is long."""


class Filter(Stage):
    """Puts the candidates of all queries on one scale and cuts there, at one threshold; what falls below is dropped,
    also when nothing is left.

    A filter whose scale is a probability gives it as the candidates' score. The score of the stage before stays where
    every stage's is, in the trace: ``explain`` and reports show both. Within a query the order stays as it was, unless
    :attr:`keeps_order` is false.
    """

    needs = frozenset({"training", "candidates"})
    _keeps_lists = False

    gives_probabilities: ClassVar[bool] = False
    """Whether :meth:`values` are probabilities of relevance, which then become the candidates' scores."""

    keep: Keep | None
    top_k: int | None
    cut: Cut | None = None
    """What the threshold achieved on the calibration queries; None where none was chosen."""

    @property
    def keeps_order(self) -> bool:
        """Whether the order of a query's candidates on this scale is always that of their scores."""
        return True

    @property
    def threshold(self) -> float:
        """Candidates whose value is at least this are kept.

        Raises:
            NotFittedError: It has not been chosen yet.
        """
        if self.cut is None:
            raise NotFittedError.of(self)
        return self.cut.threshold

    @property
    def threshold_settings(self) -> tuple[str, ...]:
        """Names of the arguments that set the threshold; none where nothing is cut by one."""
        return ("keep",)

    @property
    def rule(self) -> str:
        """What its threshold keeps, in words that follow "Keeps"; empty where it has none."""
        return f"what it rates at least {self.threshold:.3g}"

    def passes(self, batch: QueryBatch, candidates: Candidates) -> npt.NDArray[np.bool_]:
        """Which candidates the threshold lets pass, whatever ``top_k`` leaves of them, bool [n, k]."""
        values = self.values(batch, candidates)
        if self.keeps_order and values.size:
            values = np.minimum.accumulate(values, axis=1)
        return candidates.mask & (values >= self.threshold)

    @abstractmethod
    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        """The candidates on the filter's own scale, which is cut: float32 [n, k], ``-inf`` at padding."""

    def learn(
        self, batch: QueryBatch, candidates: Candidates, relevant: npt.NDArray[np.bool_], context: FitContext
    ) -> tuple[npt.NDArray[np.int64], Any]:
        """Learn the scale from the candidates of training queries.

        Returns:
            The calibration queries, as rows, and their :meth:`values` by something that has not seen them, ``-inf`` at
            padding. A scale that learns nothing has seen none.
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
        # What is kept stands at the head of its row: nothing has to be sorted.
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
        """Which candidates of the training queries are relevant, bool [n, k]; what nobody judged is not."""
        assert context.training is not None
        return Gains(batch.queries, context.training.qrels, context.corpus).of(candidates) > 0


def descending(probabilities: Floats) -> Floats:
    """Rows made strictly descending: one that is not below the one before it is lowered by the least step of float32.

    Without it a list of sure things, all 1.0, would be sorted by position. The order of positive float32 is that of
    their bits as integers, so no loop is needed.
    """
    steps = np.arange(probabilities.shape[1], dtype=np.int32)
    bits = np.maximum(probabilities, np.float32(_LEAST)).view(np.int32) + steps
    return (np.minimum.accumulate(bits, axis=1) - steps).view(np.float32)
