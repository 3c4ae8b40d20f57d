"""A fitted ranking model: linear, boosted trees, or the mean of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rag.candidates import Bools, Floats
from rag.learning.features import Features
from rag.learning.lambdamart import MOST_TREES, LambdaMART, fit_lambdamart
from rag.learning.listwise import Linear, Scaling, fit_linear
from rag.tables import standardized

__all__ = ["Kind", "Lists", "RankModel", "fit_model", "tuned_l2"]

Kind = Literal["linear_listwise", "lambdamart", "mean"]

_PENALTIES = (1.0, 0.3, 0.1, 0.03)
"""L2 of the linear model: from strong to weak, each starting where the one before ended."""

_FUSION_PENALTY = 0.1
"""L2 of the fusion that the linear model starts from."""


@dataclass(frozen=True)
class Lists:
    """Candidates of queries to learn from or to choose by.

    Args:
        features: Features of the candidates.
        mask: Mask of candidates that count, bool [n, k].
        gains: Relevance of the candidates, float32 [n, k].
    """

    features: Features
    mask: Bools
    gains: Floats

    def rows(self, rows: Bools) -> Lists:
        """Those of some queries."""
        features = replace(self.features, values=self.features.values[rows])
        return Lists(features, self.mask[rows], self.gains[rows])

    @property
    def n_useful(self) -> int:
        """Queries that have a relevant candidate and another."""
        relevant = (self.gains > 0) & self.mask
        return int((relevant.any(axis=1) & (self.mask & ~relevant).any(axis=1)).sum())


@dataclass(frozen=True)
class RankModel:
    """A model that scores candidates by features.

    Args:
        names: Features it takes, in this order.
        linear: The linear part; None where there is only the other.
        trees: The trees, likewise.
    """

    names: tuple[str, ...]
    linear: Linear | None
    trees: LambdaMART | None

    def scores(self, features: Features, mask: Bools) -> Floats:
        """Scores of candidates, float32 [n, k]; of both parts in standard deviations over a query's candidates where
        there are two.
        """
        values = features.take(self.names).values
        parts = [part(values) for part in (self.linear, self.trees) if part is not None]
        if len(parts) == 1:
            return parts[0]
        return np.asarray(sum(standardized(part, mask) for part in parts), dtype=np.float32)

    def contributions(self, features: Features, rows: Bools) -> Floats:
        """Contribution of each feature to the candidates selected by a mask, bool [n, k]: float32 [m, features]."""
        values = features.take(self.names).values[rows]
        parts = [part.contributions(values) for part in (self.linear, self.trees) if part is not None]
        return np.asarray(sum(parts), dtype=np.float32)

    def importances(self) -> dict[str, float]:
        """Share of each feature in what decides, largest first, sum 1: absolute weights of the linear part, gains of
        the trees' splits, the mean of both.
        """
        parts = [np.abs(self.linear.weights)] if self.linear is not None else []
        parts += [self.trees.gains] if self.trees is not None else []
        share = np.mean([part / max(float(part.sum()), 1e-12) for part in parts], axis=0)
        order = np.argsort(-share, kind="stable")
        return {self.names[column]: float(share[column]) for column in order.tolist() if share[column] > 0}

    def save(self, folder: Path, name: str) -> None:
        """Write it as text files that begin with a name."""
        state = {"names": self.names, "linear": None if self.linear is None else self.linear.as_dict()}
        (folder / f"{name}.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        if self.trees is not None:
            (folder / f"{name}.lightgbm.txt").write_text(self.trees.text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> RankModel:
        """Read what :meth:`save` wrote."""
        state = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        file = folder / f"{name}.lightgbm.txt"
        trees = LambdaMART(file.read_text(encoding="utf-8")) if file.is_file() else None
        linear = None if state["linear"] is None else Linear.from_dict(state["linear"])
        return cls(tuple(state["names"]), linear, trees)


def tuned_l2(learned: Lists, held_out: Lists) -> float:
    """The L2 whose linear model likes the relevant candidates of held-out queries best, by mean nDCG@10 of its order
    among the candidates.
    """
    scaling = Scaling.of(learned.features.values, learned.mask)
    x, y = scaling(learned.features.values), scaling(held_out.features.values)
    prior = start = _fusion(x, learned)
    best = -1.0, _PENALTIES[0]
    for l2 in _PENALTIES:
        start = fit_linear(x, learned.mask, learned.gains, l2, start=start, prior=prior)
        quality = _mean_ndcg(y @ start, held_out)
        if quality > best[0] + 1e-6:
            best = quality, l2
    return best[1]


def _fusion(scaled: Floats, learned: Lists) -> Floats:
    """Weights of a plain fusion, of the scores scaled over each list alone, 0 elsewhere: what all weights are drawn to,
    so that few questions cannot lead far from a sensible ranking.
    """
    shares = [column for column, name in enumerate(learned.features.names) if name.endswith(": share")]
    weights = np.zeros(scaled.shape[2], dtype=np.float32)
    weights[shares] = fit_linear(scaled[:, :, shares], learned.mask, learned.gains, _FUSION_PENALTY)
    return weights


def _mean_ndcg(scores: Floats, lists: Lists) -> float:
    gains = np.where(lists.mask, lists.gains, 0)
    order = np.argsort(-np.where(lists.mask, scores, -np.inf), axis=1, kind="stable")[:, :10]
    discount = 1 / np.log2(np.arange(2, order.shape[1] + 2))
    got = np.take_along_axis(gains, order, 1) @ discount
    ideal = -np.sort(-gains, axis=1)[:, : len(discount)] @ discount
    return float(np.mean(got[ideal > 0] / ideal[ideal > 0])) if (ideal > 0).any() else 0.0


def fit_model(
    kind: Kind, learned: Lists, held_out: Lists | None, *, l2: float, trees: int | None, seed: int
) -> RankModel:
    """Fit a model.

    Args:
        kind: Kind of model.
        learned: The lists to learn from.
        held_out: What tells trees when to stop; None when ``trees`` says how many.
        l2: L2 penalty of the linear model.
        trees: Number of trees, if nothing is held out.
        seed: Seed of the trees.
    """
    linear = boosted = None
    if kind != "lambdamart":
        scaling = Scaling.of(learned.features.values, learned.mask)
        scaled = scaling(learned.features.values)
        prior = _fusion(scaled, learned)
        linear = Linear(scaling, fit_linear(scaled, learned.mask, learned.gains, l2, prior=prior))
    if kind != "linear_listwise":
        mine, others = (
            None if lists is None else (lists.features.values, lists.mask, lists.gains) for lists in (learned, held_out)
        )
        assert mine is not None
        boosted = fit_lambdamart(mine, others, learned.features.rising, seed=seed, trees=trees or MOST_TREES)
    return RankModel(learned.features.names, linear, boosted)
