"""Exact search among some of the vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rag.candidates import Floats, Ints, Vectors
from rag.retrievers.indexes.subset import Subset

__all__ = ["scan", "scan_cost"]

_BATCH = 4
"""From this many queries on, copying scattered vectors together and comparing them in a block is faster than going to
each vector for each query (measured)."""

_BLOCK_BYTES = 1 << 26
"""Vectors copied together."""

_COPY = 1.5
_IN_BLOCK = 0.2
"""What copying a vector, and comparing it in a block, cost in comparisons of scattered vectors (measured)."""


def scan(
    queries: Vectors, k: int, subset: Subset, flat: Any, decoded: Callable[[Ints], Vectors]
) -> tuple[Ints, Floats]:
    """The best k of a subset, exactly: keys int64 [q, k] and inner products float32 [q, k]; k <= size of the subset.

    Args:
        queries: float32 [q, d].
        k: Keys wanted.
        subset: Keys to compare.
        flat: A flat index of faiss with all vectors, or None.
        decoded: Gives vectors by keys where there is no flat index.
    """
    import faiss

    if flat is not None and (subset.window is not None or len(queries) < _BATCH):
        scores, keys = flat.search(queries, k, params=faiss.SearchParameters(sel=subset.table))
        return keys, scores
    if flat is not None:
        vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
        decoded = vectors.__getitem__
    rows = max(1024, _BLOCK_BYTES // (4 * queries.shape[1]))
    heap = faiss.ResultHeap(len(queries), k, keep_max=True)
    for first in range(0, subset.count, rows):
        keys = subset.keys[first : first + rows]
        scores, places = faiss.knn(queries, decoded(keys), min(k, len(keys)), metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(scores, keys[places])
    heap.finalize()
    return heap.I, heap.D


def scan_cost(n_queries: int, subset: Subset, *, in_place: bool) -> float:
    """Cost of a query by scanning, in comparisons of full vectors one by one."""
    copies = not in_place or (n_queries >= _BATCH and subset.window is None)
    in_block = copies or subset.window is not None
    return subset.count * ((_IN_BLOCK if in_block else 1.0) + (_COPY / max(n_queries, 1) if copies else 0.0))
