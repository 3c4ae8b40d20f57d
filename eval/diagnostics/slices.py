"""Measures by kinds of queries: by metadata, length, and number of relevant documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.eval.datasets.base import Split
from rag.eval.diagnostics.overlap import nearest, shares_document
from rag.eval.measures.interval import means
from rag.eval.metrics import Kind, Slice
from rag.learning.training import Training
from rag.types import Query

__all__ = ["slices_of"]

_MOST_VALUES = 20
"""Most distinct values of a usable field; more would name queries rather than kinds of queries."""

NEAREST = "similarity to the nearest training query"
"""The cosine of their words, weighted by rarity."""

_RANGES: dict[str, tuple[tuple[str, float, float], ...]] = {
    "relevant documents": (("none", 0, 0), ("1", 1, 1), ("2 to 5", 2, 5), ("more than 5", 6, np.inf)),
    NEAREST: (
        ("below 0.2", 0, 0.2),
        ("0.2 to 0.4", 0.2, 0.4),
        ("0.4 to 0.6", 0.4, 0.6),
        ("0.6 and above", 0.6, np.inf),
    ),
    "words in the query": (("1 to 3", 0, 3), ("4 to 8", 4, 8), ("9 to 20", 9, 20), ("more than 20", 21, np.inf)),
}

Floats = npt.NDArray[np.float64]


def slices_of(
    split: Split, names: Sequence[str], table: Floats, *, training: Training | None = None, seed: int = 0
) -> list[Slice]:
    """The entry ``slices`` of ``metrics.json``: for each way to divide the queries into at least two kinds, the kinds
    with their means. Kinds differ if their intervals do; with few queries intervals are wide.

    Args:
        split: The queries.
        names: Names of the measures.
        table: Values of the measures, float64 [n_queries, n_measures].
        training: Training data of the pipeline, to separate queries that share a relevant document with it or resemble
            its queries.
        seed: Seed of the intervals.
    """
    relevant = {query.id: sum(grade > 0 for grade in split.qrels.get(query.id, {}).values()) for query in split.queries}
    ways: dict[str, Callable[[Query], str | None]] = {
        f"metadata {field}": partial(_value, field=field) for field in _fields(split.queries)
    }
    ways["relevant documents"] = lambda query: _range(relevant[query.id], "relevant documents")
    ways["words in the query"] = lambda query: _range(len(query.text.split()), "words in the query")
    if training is not None:
        ways |= _by_training(split, training)
    slices = []
    for by, kind_of in ways.items():
        kinds: dict[str, list[int]] = {}
        for row, query in enumerate(split.queries):
            kind = kind_of(query)
            if kind is not None:
                kinds.setdefault(kind, []).append(row)
        if len(kinds) > 1:
            order = [name for name, *_ in _RANGES.get(by, ())]
            ordered = sorted(kinds, key=order.index if order else _natural)
            slices.append(Slice(by=by, kinds=[_kind(kind, kinds[kind], names, table, seed) for kind in ordered]))
    return slices


def _by_training(split: Split, training: Training) -> dict[str, Callable[[Query], str | None]]:
    row = {query.id: index for index, query in enumerate(split.queries)}
    shares, near = shares_document(split, training), nearest(split.queries, training.queries)
    return {
        "shares a relevant document with training": lambda query: "yes" if shares[row[query.id]] else "no",
        NEAREST: lambda query: _range(float(near[row[query.id]]), NEAREST),
    }


def _kind(name: str, rows: list[int], names: Sequence[str], table: Floats, seed: int) -> Kind:
    return Kind(kind=name, n_queries=len(rows), measures=means(names, table[rows], seed=seed))


def _fields(queries: Sequence[Query]) -> list[str]:
    """Metadata fields that divide the queries: texts, numbers or booleans, not distinct for every query."""
    values: dict[str, set[str]] = {}
    for query in queries:
        for field in query.metadata:
            value = _value(query, field)
            if value is not None:
                values.setdefault(field, set()).add(value)
    return sorted(
        field for field, distinct in values.items() if 2 <= len(distinct) <= min(_MOST_VALUES, (len(queries) + 1) // 2)
    )


def _value(query: Query, field: str) -> str | None:
    value: Any = query.metadata.get(field)
    return str(value) if isinstance(value, (str, int, float, bool)) else None


def _natural(kind: str) -> tuple[float, str]:
    """Sort key: numbers by value, before everything else."""
    try:
        value = float(kind)
    except ValueError:
        value = np.inf
    return np.inf if np.isnan(value) else value, kind


def _range(value: float, by: str) -> str:
    return next(name for name, low, high in _RANGES[by] if low <= value <= high)
