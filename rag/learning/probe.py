"""A probe: the probability of an event from a few features, by logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rag.candidates import Bools, Floats
from rag.errors import DataError, ModelError

__all__ = ["Probe"]

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse penalties tried (scikit-learn's ``C``)."""

_FARTHEST = 5.0
"""Limit of features in standard deviations of the training questions."""

_FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """Logistic regression on standardized features, its L2 penalty chosen by the log-loss of five folds.

    Args:
        names: Names of the features.
        center: Mean of each on the training questions.
        spread: Standard deviation of each.
        weights: Weight of each, standardized.
        offset: Logit where all features are at their means.

    Example:
        >>> x = np.linspace(-1, 1, 40, dtype=np.float32)
        >>> probe = Probe.of({"x": x}, x > 0)
        >>> probe({"x": np.float32([-0.9, 0.9])}).round(1).tolist()
        [0.0, 1.0]
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float

    @classmethod
    def of(cls, features: Mapping[str, Floats], happened: Bools) -> Probe:
        """Learn from questions.

        Args:
            features: Features by name, float32 [n] each, finite.
            happened: Whether the event happened, bool [n].

        Raises:
            DataError: It happened for fewer than two questions, or for all but fewer than two.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        fewer = int(min(happened.sum(), (~happened).sum()))
        if fewer < 2:
            raise DataError(f"of {len(happened)} questions it happened for {happened.sum()}: two of each are needed")
        names = tuple(features)
        table = np.stack([features[name] for name in names], axis=1).astype(np.float64)
        center, spread = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-9)
        x = _standardized(table, center, spread)
        folds = StratifiedKFold(min(_FOLDS, fewer), shuffle=True, random_state=0)
        losses = [
            -cross_val_score(
                LogisticRegression(C=c, max_iter=500), x, happened, cv=folds, scoring="neg_log_loss"
            ).mean()
            for c in _PENALTIES
        ]
        model = LogisticRegression(C=_PENALTIES[int(np.argmin(losses))], max_iter=500).fit(x, happened)
        weights, offset = tuple(model.coef_[0].tolist()), float(model.intercept_[0])
        return cls(names, tuple(center.tolist()), tuple(spread.tolist()), weights, offset)

    def __call__(self, features: Mapping[str, Floats]) -> Floats:
        """Probability of the event, float32 [n].

        Raises:
            ModelError: A feature is missing: the probe was fitted after other steps.
        """
        missing = [name for name in self.names if name not in features]
        if missing:
            raise ModelError(
                f"the probe was fitted on {len(self.names)} features, of which {len(missing)} are not there, such as "
                f"'{missing[0]}': fit it again after the steps it follows now"
            )
        table = np.stack([features[name] for name in self.names], axis=1).astype(np.float64)
        logits = _standardized(table, np.array(self.center), np.array(self.spread)) @ self.weights + self.offset
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), dtype=np.float32)

    def as_dict(self) -> dict[str, Any]:
        """The probe as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Probe:
        """The probe that :meth:`as_dict` wrote."""
        parts = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**parts)


def _standardized(table: Any, center: Any, spread: Any) -> Any:
    return np.clip((table - center) / spread, -_FARTHEST, _FARTHEST)
