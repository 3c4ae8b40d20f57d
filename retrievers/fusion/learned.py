"""Weights of lists, learned from judged questions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints
from rag.errors import NotFittedError
from rag.learning.features import union
from rag.learning.gains import Gains, paired_gain
from rag.learning.listwise import fit_linear
from rag.learning.reports import ReportsLearning
from rag.retrievers.fusion.base import Contributes, Doubles, Fusion
from rag.retrievers.fusion.min_max import MinMax
from rag.tables import in_list

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Learned"]

MIN_QUERIES = 10
"""Fewest training queries with a relevant document in a list; with fewer, lists are weighted equally."""


class Learned(Fusion, ReportsLearning):
    """Scales each list to [0, 1] and weights it, and its reciprocal ranks, by judged questions: the linear form of
    ``learned_rank``. A few dozen questions are enough for so few weights.

    Weights make the relevant documents of each training query likely under a softmax over all documents of its lists
    (listwise cross-entropy), pulled toward equal weights by ``l2``; none is negative. Equal weights stay if the learned
    ones do not win on held-out training queries, or with fewer than ten training queries. The weights given to
    ``hybrid`` multiply them.

    Args:
        l2: Strength of the pull toward equal weights.
        smoothing: Smoothing of the ranks: a document of rank r has 1 / (smoothing + r) beside its scaled score.
    """

    type = "learned"
    needs = frozenset({"training"})
    weighs = True

    def __init__(
        self, *, l2: Annotated[float, Field(gt=0)] = 0.01, smoothing: Annotated[float, Field(ge=0)] = 10.0
    ) -> None:
        self.l2 = l2
        self.smoothing = smoothing
        self._weights: Doubles | None = None  # [lists, 2]: of the scaled score, and of the reciprocal rank
        self._note = ""

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        return self.for_list(0).contributions(candidates)

    def for_list(self, index: int) -> Contributes:
        if self._weights is None:
            raise NotFittedError.of(self)
        return _Weighted(self._weights[index], self.smoothing)

    def learn(self, tables: Sequence[Candidates], context: FitContext) -> None:
        """Learn the weights of lists from their results for the training queries.

        Args:
            tables: The results of each retriever, with scores to be scaled.
            context: The context with the judgments.
        """
        assert context.training is not None
        gains = Gains(context.training.queries, context.training.qrels, context.corpus)
        candidates = _all_of(tables)
        values = np.concatenate([_values(table, candidates.documents, self.smoothing) for table in tables], axis=2)
        relevant = gains.of(candidates)
        n = int((relevant > 0).any(axis=1).sum())
        equal = np.tile([1.0, 0.0], (len(tables), 1))
        self._weights, self._note = equal, ""
        if n < MIN_QUERIES:
            self._note = f"fusion 'learned' weighs all lists alike: {n} training queries, and {MIN_QUERIES} are needed"
            return
        start = equal.ravel().astype(np.float32) * _STEEPNESS

        def fitted(rows: Ints) -> Doubles:
            signed = fit_linear(
                values[rows], candidates.mask[rows], relevant[rows], self.l2 / _STEEPNESS, prior=start
            ).reshape(len(tables), 2)
            weights = np.maximum(signed, 0).astype(np.float64)
            return weights / _STEEPNESS if weights.any() else equal

        unseen = np.zeros(candidates.documents.shape, dtype=np.float32)
        folds = context.unseen().folds
        for fold in np.unique(folds):
            inside = folds == fold
            rest = np.flatnonzero(~inside)
            weights = fitted(rest) if relevant[rest].any() else equal
            unseen[inside] = values[inside] @ weights.ravel().astype(np.float32)
        plain = values @ equal.ravel().astype(np.float32)
        learned, alike = (
            gains.ndcg(candidates.rescored(_masked(combined, candidates))) for combined in (unseen, plain)
        )
        if paired_gain(learned, alike)[0] > 0:
            self._weights = fitted(np.arange(len(values)))
        else:
            self._note = f"fusion 'learned' weighs all lists alike: learned weights do not win on {n} training queries"

    def notes(self) -> tuple[str, ...]:
        if self._weights is None or self._note:
            return (self._note,) if self._note else ()
        told = ", ".join(f"{score:.2f} + {rank:.1f} / ({self.smoothing:g} + rank)" for score, rank in self._weights)
        return (f"fusion 'learned' weighs the lists, in order: {told}",)

    def learned_report(self) -> Mapping[str, Any]:
        """The weight of each list, and its share in the sum of weights."""
        if self._weights is None:
            return {}
        parts = {
            f"list {n} {name}": float(weight)
            for n, pair in enumerate(self._weights)
            for name, weight in zip(("scaled score", "rank"), pair / (1, self.smoothing + 1), strict=True)
        }
        total = max(sum(parts.values()), 1e-12)
        shares = {name: weight / total for name, weight in sorted(parts.items(), key=lambda item: -item[1]) if weight}
        return {"why": self._note, "weights": self._weights.tolist(), "importances": shares}

    def save_state(self, folder: Path) -> None:
        weights = None if self._weights is None else self._weights.tolist()
        (folder / "weights.json").write_text(json.dumps({"weights": weights, "note": self._note}), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
        self._weights = None if state["weights"] is None else np.array(state["weights"], dtype=np.float64)
        self._note = state["note"]

    def fit(self, context: FitContext) -> None:
        """Do nothing: ``hybrid`` calls :meth:`learn` when its retrievers are fitted."""

    def update(self, context: UpdateContext, kept: Ints) -> None:
        context.keep(self)

    @property
    def _caches_state(self) -> bool:
        """Whether the store caches the state: no, since learning it is quick."""
        return False


_STEEPNESS = 5.0
"""Initial sharpness of the softmax over scaled scores from 0 to 1."""


@dataclass(frozen=True)
class _Weighted:
    """The contributions of one weighted list."""

    weights: Doubles
    smoothing: float

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        values, missing = MinMax().contributions(candidates)
        ranks = 1.0 / (self.smoothing + np.arange(1, values.shape[1] + 1))
        return self.weights[0] * values + self.weights[1] * ranks, self.weights[0] * missing


def _all_of(tables: Sequence[Candidates]) -> Candidates:
    return union([_real(table) for table in tables], max(table.documents.shape[1] for table in tables))


def _real(table: Candidates) -> Candidates:
    """The table without documents that only pad the list."""
    return table.rescored(np.where(table.passages >= 0, table.scores, np.float32(-np.inf)))


def _values(table: Candidates, positions: Ints, smoothing: float) -> Floats:
    """Scaled score and reciprocal rank in a list, float32 [n, k, 2]; 0 for documents missing from it."""
    values, _ = MinMax().contributions(table)
    real = table.passages >= 0  # the others only pad the list
    scores = np.where(real, values, -np.inf).astype(np.float32)
    scaled = Candidates(np.where(real, table.documents, PADDING), scores, table.passages)
    scores, ranks = in_list(scaled, positions)
    reciprocal = np.where(ranks >= 0, 1 / (smoothing + 1 + ranks), 0)
    return np.stack([np.nan_to_num(scores, nan=0.0), reciprocal], axis=2).astype(np.float32)


def _masked(scores: Floats, candidates: Candidates) -> Floats:
    return np.where(candidates.mask, scores, np.float32(-np.inf)).astype(np.float32)
