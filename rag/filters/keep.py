"""Targets of filters, and the thresholds that meet them.

The threshold is one number for all queries, chosen on judged queries scored by models not trained on them, and compared
with ``>=``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.errors import ConfigError, DataError
from rag.filters.curve import ThresholdCurve

__all__ = ["Cut", "Keep", "Target", "check_keep", "choose_cut", "target_of"]

Target = Literal["recall", "precision", "f_beta", "threshold", "expected_relevant"]

Keep = Annotated[dict[Target, float], Field(min_length=1, max_length=1)]
"""A target with its value, such as ``{recall: 0.95}``."""

_RULES: dict[Target, tuple[float, float, str]] = {
    "recall": (0.0, 1.0, "above 0 and at most 1"),
    "precision": (0.0, 1.0, "above 0 and at most 1"),
    "f_beta": (0.0, np.inf, "above 0"),
    "threshold": (-np.inf, np.inf, "a number"),
    "expected_relevant": (0.0, np.inf, "above 0"),
}


@dataclass(frozen=True)
class Cut:
    """A threshold and its results on the calibration queries, over all their (query, candidate) pairs.

    Args:
        threshold: Smallest score that is kept.
        queries: Number of calibration queries.
        relevant: Number of relevant candidates; relevant documents missed by the previous stage do not count.
        recall: Share of the relevant candidates that is kept.
        precision: Share of the kept candidates that is relevant; 1 if none is kept.
        kept: Share of the candidates that is kept.
        empty: Share of the queries that keep none.
    """

    threshold: float
    queries: int
    relevant: int
    recall: float
    precision: float
    kept: float
    empty: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def target_of(keep: Mapping[Target, float]) -> tuple[Target, float]:
    """The single target with its value."""
    return next(iter(keep.items()))


def check_keep(label: str, keep: Mapping[Target, float]) -> None:
    """Refuse a value that is invalid for its target.

    Raises:
        ConfigError: The value is invalid.
    """
    target, value = target_of(keep)
    low, high, rule = _RULES[target]
    if not (low < value <= high):
        raise ConfigError(f"{label}: keep.{target} must be {rule}, got {value:g}", parameter="keep")


def choose_cut(keep: Mapping[Target, float], scores: Any, relevant: npt.NDArray[np.bool_], label: str) -> Cut:
    """Choose the threshold that meets a target on the calibration queries.

    ``recall``: the largest threshold with at least this share of the relevant candidates; ``precision``: the smallest
    with at least this share of relevant ones among the kept, so that most are kept; ``f_beta``: the one with the best
    F; ``expected_relevant``: the largest that keeps this many relevant candidates per query on average; ``threshold``:
    the given one. Recall, precision and F are over all pairs together, as in the paper.

    Args:
        keep: The target.
        scores: Scores [n_queries, k]; ``-inf`` at padding.
        relevant: Whether each candidate is relevant, bool [n_queries, k].
        label: Name of the filter in messages.

    Raises:
        DataError: There is nothing to learn from, or the target cannot be met; the message says what can.
    """
    target, value = target_of(keep)
    valid = ~np.isneginf(scores)
    check_classes(relevant[valid], label)
    flat, hits = scores[valid], relevant[valid]
    curve = ThresholdCurve.of(flat, hits)
    recall, precision = curve.recall, curve.precision
    if target == "threshold":
        threshold = float(value)
    elif target == "recall":
        threshold = float(curve.thresholds[curve.at_recall(value)])
    elif target == "precision":
        meeting = np.flatnonzero(precision >= value)
        if not len(meeting):
            best = int(precision.argmax())
            raise DataError(
                f"{label}: keep.precision {value:g} cannot be met on the calibration queries: the best is "
                f"{precision[best]:.3f}, at recall {recall[best]:.3f}"
            )
        threshold = float(curve.thresholds[meeting[-1]])
    elif target == "f_beta":
        f = (1 + value**2) * precision * recall / np.maximum(value**2 * precision + recall, 1e-12)
        threshold = float(curve.thresholds[f.argmax()])
    else:
        expected = value * len(scores)
        if curve.relevant[-1] < expected:
            raise DataError(
                f"{label}: keep.expected_relevant {value:g} cannot be met on the calibration queries: their candidates "
                f"hold {curve.relevant[-1] / len(scores):.3f} relevant ones per query"
            )
        threshold = float(curve.thresholds[np.argmax(curve.relevant >= expected)])
    above = valid & (scores >= threshold)
    n_kept = int(above.sum())
    return Cut(
        threshold=threshold,
        queries=len(scores),
        relevant=int(hits.sum()),
        recall=float(relevant[above].sum() / hits.sum()),
        precision=float(relevant[above].mean()) if n_kept else 1.0,
        kept=n_kept / len(flat),
        empty=float((~above.any(axis=1)).mean()),
    )


def check_classes(relevant: npt.NDArray[np.bool_], label: str) -> None:
    """Refuse pairs that are all relevant, or all not.

    Raises:
        DataError: There is nothing to learn from.
    """
    if not len(relevant) or relevant.all() or not relevant.any():
        which = "there are none" if not len(relevant) else "all are" if relevant.all() else "none is"
        raise DataError(
            f"{label} learns from relevant and other candidates of the training queries, both are needed: of "
            f"{len(relevant)} candidates {which}{' relevant' if len(relevant) else ''}"
        )
