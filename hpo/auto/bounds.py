"""Samples and estimates that keep ``rag recommend`` within its time on large datasets."""

from __future__ import annotations

import time

import numpy as np

from rag.eval.datasets.base import Dataset, Split
from rag.hpo.auto.rungs import Rung
from rag.pipeline import Pipeline
from rag.store.store import Store

__all__ = ["sampled", "too_late"]

_QUESTIONS = {"test": 1000, "dev": 1000, "train": 5000}
"""Questions of a split that are asked, at most: means of a thousand have intervals of a hundredth or two. Those of
``train`` are asked where there is no ``dev``, and are learned from, too.
"""

_TRIED = 64
"""Documents that are embedded to see how long all would take."""


def sampled(dataset: Dataset) -> tuple[Dataset, dict[str, str]]:
    """Draw at most so many questions to tune and test on at random; returns the dataset and the number left out by
    split.

    Raises:
        DataError: There are no test questions.
    """
    dataset.split("test")
    parts, left_out = dict(dataset.splits), {}
    for name, split in dataset.splits.items():
        n, most = len(split.queries), _QUESTIONS.get(name, 0)
        if name not in _QUESTIONS or n <= most or (name == "train" and "dev" in dataset.splits):
            continue
        rows = np.sort(np.random.default_rng(0).permutation(n)[:most])
        queries = [split.queries[row] for row in rows.tolist()]
        parts[name] = Split(queries, {query.id: split.qrels[query.id] for query in queries})
        left_out[f"{n - most:,} of {n:,} {name} questions"] = f"{most:,} drawn at random are asked"
    return Dataset(dataset.name, dataset.corpus, parts, dataset.remarks), left_out


def too_late(rung: Rung, dataset: Dataset, left: float, store: Store | None) -> str:
    """Reason why embedding the passages of a rung would take too long, estimated from a sample; empty if it would not.

    Args:
        rung: One that embeds.
        dataset: The dataset whose documents would be embedded.
        left: Seconds that are left.
        store: A store that may have the vectors already.
    """
    n = len(dataset.corpus)
    if rung.config is None or n <= 10 * _TRIED:
        return ""
    rows = np.sort(np.random.default_rng(0).permutation(n)[: 2 * _TRIED])
    took = 0.0
    for part in (rows[:_TRIED], rows[_TRIED:]):  # the first has also loaded the model
        start = time.monotonic()
        Pipeline.from_config(rung.config).fit(dataset.corpus.rows(part), store=store)
        took = time.monotonic() - start
    needed = took / _TRIED * n
    if needed <= left:
        return ""
    return f"embedding {n:,} documents would take about {needed / 60:,.0f} minutes, and {left / 60:,.1f} are left"
