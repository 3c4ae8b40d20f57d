"""Facts on a dataset that decide what can be tuned: questions to tune on and to learn from."""

from __future__ import annotations

from dataclasses import dataclass

from rag.errors import DataError
from rag.eval.datasets.base import Dataset

__all__ = ["FOLDS", "MIN_LEARNED", "MIN_TUNED", "Facts", "facts_of"]

FOLDS = 3
"""Parts that training questions are cross-validated in where there is no dev split: each costs a fit, and what learns
still has two thirds.
"""

MIN_TUNED = 5
"""Tuning questions below which nothing can be told apart."""

MIN_LEARNED = 20
"""Training questions below which ``learned_rank`` learns nothing."""


@dataclass(frozen=True)
class Facts:
    """A dataset as the space depends on it.

    Args:
        split: Name of the split to tune on.
        n_tuned: Questions in it.
        n_learned: Questions to learn from while it is measured; 0 where there are none.
        shared: Share of the relevant judgments to learn from whose document is relevant for another question, too.
    """

    split: str
    n_tuned: int
    n_learned: int
    shared: float


def facts_of(dataset: Dataset) -> Facts:
    """Determine the questions of a dataset to tune on and to learn from.

    Raises:
        DataError: There is no split to tune on beside ``test``, no ``test``, or too few questions.
    """
    dataset.split("test")
    split = next((name for name in ("dev", "train") if name in dataset.splits and dataset.splits[name].queries), None)
    if split is None:
        raise DataError(
            f"dataset '{dataset.name}' has no split to tune on (dev, or train), only {', '.join(dataset.splits)}, and "
            "the test questions are never tuned on: split its judgments (rag datasets split)"
        )
    n = len(dataset.split(split).queries)
    if n < MIN_TUNED:
        raise DataError(
            f"split '{split}' of dataset '{dataset.name}' has {n} {'question' if n == 1 else 'questions'}: at least "
            f"{MIN_TUNED} are needed to tell pipelines apart"
        )
    training = dataset.splits["train"].training if "train" in dataset.splits else None
    n_learned = 0 if training is None else len(training.queries)
    counts: dict[str, int] = {}
    for judged in training.qrels.values() if training is not None else ():
        for id, grade in judged.items():
            counts[id] = counts.get(id, 0) + (grade > 0)
    relevant = sum(counts.values())
    shared = sum(count for count in counts.values() if count > 1) / relevant if relevant else 0.0
    if split == "train":
        n_learned = n_learned * (FOLDS - 1) // FOLDS
    return Facts(split, n, n_learned, shared)
