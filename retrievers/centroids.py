"""Cosines with centroids: of each document, the mean of the judged queries that it was relevant for."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import Vectors

__all__ = ["centroid_cosines"]


def centroid_cosines(queries: Vectors, judged: Vectors, gains: Any, hidden: Any = None) -> Vectors:
    """Cosine of each query with each document's centroid, float32 [n, documents]; 0 for a document without one (of
    labels, the nearest-centroid or Rocchio classifier).

    Args:
        queries: Vectors of any length, float32 [n, d].
        judged: Vectors of the judged queries, of length 1, float32 [m, d].
        gains: Weights of judged queries in a document's centroid, CSR array float32 [m, documents].
        hidden: Judged queries that a query must not see, CSR array of bool [n, m]; its centroids are made without them.
    """
    queries = _over(queries, np.linalg.norm(queries, axis=1, keepdims=True))
    sums = np.asarray(gains.T @ judged, dtype=np.float32)
    cosines = _over(queries @ sums.T, np.linalg.norm(sums, axis=1))
    if hidden is not None:
        for row in np.flatnonzero(np.diff(hidden.indptr)).tolist():  # queries that are learned from, once
            taken = hidden.indices[hidden.indptr[row] : hidden.indptr[row + 1]]
            mine = gains[taken]
            columns = np.unique(mine.indices)
            rest = sums[columns] - mine[:, columns].T @ judged[taken]
            left = np.asarray((gains[:, columns] > 0).sum(axis=0) - (mine[:, columns] > 0).sum(axis=0)).ravel()
            rest[left == 0] = 0  # rather than what rounding leaves
            cosines[row, columns] = _over(rest @ queries[row], np.linalg.norm(rest, axis=1))
    return cosines


def _over(products: Vectors, norms: Vectors) -> Vectors:
    return np.asarray(np.where(norms > 0, products / np.where(norms > 0, norms, 1), 0), dtype=np.float32)
