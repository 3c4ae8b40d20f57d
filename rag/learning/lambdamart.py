"""Ranking by boosted trees: LambdaMART, from LightGBM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rag.candidates import Bools, Floats
from rag.errors import MissingExtraError

__all__ = ["MOST_TREES", "LambdaMART", "fit_lambdamart"]

MOST_TREES = 250

_FEW = 400
"""Number of training queries below which trees are small."""


@dataclass(frozen=True)
class LambdaMART:
    """Boosted trees (Burges 2010).

    Args:
        text: The model in LightGBM's text format.
    """

    text: str

    @cached_property
    def _booster(self) -> Any:
        return _lightgbm().Booster(model_str=self.text)

    def __call__(self, values: Floats) -> Floats:
        """Scores of candidates by their features [n, k, features], float32 [n, k]; NaN is a valid value."""
        flat = values.reshape(-1, values.shape[-1])
        if not len(flat):
            return np.zeros(values.shape[:-1], dtype=np.float32)
        return np.asarray(self._booster.predict(flat, num_threads=1), dtype=np.float32).reshape(values.shape[:-1])

    def contributions(self, values: Floats) -> Floats:
        """Contribution of each feature to the score (SHAP values of the trees), float32 [n, features]."""
        return np.asarray(self._booster.predict(values, pred_contrib=True, num_threads=1)[:, :-1], dtype=np.float32)

    @property
    def gains(self) -> Floats:
        """Improvement of the fit by each feature's splits, float32 [features]."""
        return np.asarray(self._booster.feature_importance("gain"), dtype=np.float32)

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return int(self._booster.num_trees())


def fit_lambdamart(
    learned: tuple[Floats, Bools, Floats],
    held_out: tuple[Floats, Bools, Floats] | None,
    rising: Sequence[bool],
    *,
    seed: int,
    trees: int,
) -> LambdaMART:
    """Train trees that rank the relevant candidates of each query first.

    Args:
        learned: Features float32 [n, k, features], mask of candidates bool [n, k], and gains float32 [n, k].
        held_out: The same for other queries: training stops 25 trees after their best nDCG@10. None grows all trees.
        rising: For each feature, whether the score may only rise with it, as with every retriever score.
        seed: Seed of the sampling of rows and features.
        trees: Maximum number of trees.

    Raises:
        MissingExtraError: LightGBM is not installed.
    """
    lightgbm = _lightgbm()
    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "ndcg_eval_at": [10],
        "learning_rate": 0.08,
        "num_leaves": 7 if len(learned[0]) < _FEW else 15,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "lambdarank_truncation_level": 20,
        "label_gain": list(range(_GRADES + 1)),
        "monotone_constraints": [int(rises) for rises in rising],
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbose": -1,
    }
    rows = _rows(*learned)
    data = lightgbm.Dataset(rows[0], rows[1], group=rows[2])
    if held_out is None:
        return LambdaMART(lightgbm.train(parameters, data, trees).model_to_string())
    others = _rows(*held_out)
    valid = lightgbm.Dataset(others[0], others[1], group=others[2], reference=data)
    stop = lightgbm.early_stopping(25, verbose=False)
    booster = lightgbm.train(parameters, data, trees, valid_sets=[valid], callbacks=[stop])
    return LambdaMART(booster.model_to_string(num_iteration=booster.best_iteration))


_GRADES = 8
"""Steps that gains are rounded to: LightGBM takes whole numbers."""


def _rows(values: Floats, mask: Bools, gains: Floats) -> tuple[Any, Any, Any]:
    """Features, labels and group sizes of queries that have a relevant and another candidate."""
    relevant = ((gains > 0) & mask).any(axis=1)
    values, mask, gains = values[relevant], mask[relevant], gains[relevant]
    labels = np.ceil(np.clip(gains[mask], 0, 1) * _GRADES).astype(np.int32)
    return values[mask], labels, mask.sum(axis=1)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingExtraError("the model lambdamart", package="lightgbm", extra="ltr") from None
    return lightgbm
