"""PSP: precision in which labels seldom seen in training count more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rag.errors import DataError
from rag.eval.datasets.base import Dataset, Qrels

__all__ = ["inverse_propensities", "psp", "with_training"]


def inverse_propensities(
    qrels: Qrels, *, n_queries: int | None = None, a: float = 0.55, b: float = 1.5, rel: int = 1
) -> tuple[dict[str, float], float]:
    """How much a relevant document counts, by document id, and how much one counts that was never relevant.

    ``1 + C (N + b) ^ -a`` with N the queries that the document was relevant for, and ``C = (ln n - 1) (b + 1) ^ a``
    (Jain, Prabhu and Varma, KDD 2016): the inverse of the chance that a label which applies was marked at all, learned
    from two collections for which that was known.

    Args:
        qrels: Judgments of training queries.
        n_queries: Number n of training queries; None counts those with judgments. Below e, C is 0: nothing counts more.
        a: Exponent; the paper has .5 for Wikipedia, .6 for Amazon, .55 for anything else.
        b: Shift; .4, 2.6 and 1.5 there.
        rel: Least grade of a relevant document.

    Example:
        >>> weights, unseen = inverse_propensities({f"q{n}": {"often": 1} | ({"seldom": 1} if n == 0 else {})
        ...                                         for n in range(100)})
        >>> round(weights["often"], 3), round(weights["seldom"], 3), round(unseen, 3)
        (1.47, 4.605, 5.775)
    """
    counts = Counter(id for grades in qrels.values() for id, grade in grades.items() if grade >= rel)
    n = len(qrels) if n_queries is None else n_queries
    c = max(math.log(max(n, 1)) - 1, 0.0) * (b + 1) ** a
    return {id: 1 + c * (count + b) ** -a for id, count in counts.items()}, 1 + c * b**-a if b else 1 + c


def with_training(measures: Sequence[Any], dataset: Dataset) -> list[Any]:
    """The measures, with the weights of ``PSP`` from the dataset's split ``train``.

    Raises:
        DataError: ``PSP`` is among them, and there is no such split.
    """
    bound = []
    for measure in measures:
        if measure.NAME == "PSP":
            if "train" not in dataset.splits:
                raise DataError(
                    f"{measure} weighs documents by how often they are relevant in split 'train', which the dataset "
                    f"'{dataset.name}' does not have (splits: {', '.join(dataset.splits)})"
                )
            measure = type(measure)(**measure.params)  # others may hold this one
            train = dataset.split("train")
            measure.weights = inverse_propensities(
                train.qrels, n_queries=len(train.queries), a=measure["a"], b=measure["b"], rel=measure["rel"]
            )
        bound.append(measure)
    return bound


def psp(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Weights of the relevant documents among the first k, divided by the most that k documents could have; 0 for a
    query without any.

    Raises:
        DataError: The measure has no weights (:func:`with_training`).
    """
    if not hasattr(measure, "weights"):
        raise DataError(
            f"{measure} needs the judgments of a dataset's split 'train': measure with `rag eval` or in a sweep"
        )
    weights, unseen = measure.weights
    of = {id: weights.get(id, unseen) for id, grade in grades.items() if grade >= measure["rel"]}
    if not of:
        return 0.0
    k = measure["cutoff"]
    return float(sum(of.get(id, 0.0) for id in ranked[:k]) / np.sort(list(of.values()))[::-1][:k].sum())
