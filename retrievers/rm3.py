"""Words of trusted passages added to a query, as products of sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import Candidates, Ints
from rag.retrievers.asked_again import trust

__all__ = ["expanded"]


def expanded(
    queries: Any, passages: Any, lengths: Ints, trusted: Candidates, *, terms: int, original_weight: float
) -> Any:
    """Queries with words of trusted passages: RM3 (Abdul-Jaleel et al., TREC 2004).

    ``p(word) = sum over passages of trust x frequency / length``; the ``terms`` likeliest words, made to sum to 1, are
    mixed with the query's own. A query without trusted words stays as it is.

    Args:
        queries: Counts of each word in each query, CSR array [n, words].
        passages: Counts of each word in each passage, CSR array [passages, words].
        lengths: Words of each passage, [passages].
        trusted: Passages of each query, best first.
        terms: Words added, at most.
        original_weight: Weight of the query's own words, 0 to 1.

    Returns:
        float32 CSR array [n, words], in sum as much as the query had words, so that scores keep their scale.
    """
    import scipy.sparse as sp

    rows, columns = np.nonzero(trusted.mask)
    places = trusted.passages[rows, columns]
    weights = trust(trusted)[rows, columns] / np.maximum(lengths[places], 1)
    ends = np.concatenate([[0], np.cumsum(trusted.counts)])
    shape = (len(trusted), passages.shape[0])
    model = sp.csr_array((weights.astype(np.float32), places, ends), shape=shape) @ passages
    added = _strongest(sp.csr_array(model), terms)
    own = np.asarray(queries.sum(axis=1), dtype=np.float32)
    more = np.asarray(added.sum(axis=1), dtype=np.float32)
    own_weight = np.where(more > 0, original_weight, 1.0).astype(np.float32)
    new_weight = np.where(more > 0, (1 - original_weight) * own / np.where(more > 0, more, 1), 0).astype(np.float32)
    return _scaled(queries, own_weight) + _scaled(added, new_weight)


def _scaled(table: Any, weights: Any) -> Any:
    """Rows times a weight each; CSR array float32."""
    import scipy.sparse as sp

    data = table.data * np.repeat(weights, np.diff(table.indptr))
    return sp.csr_array((data.astype(np.float32), table.indices, table.indptr), shape=table.shape)


def _strongest(table: Any, k: int) -> Any:
    """The ``k`` largest values of each row, ties by column; CSR array."""
    import scipy.sparse as sp

    row = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -table.data, row))
    rank = np.arange(len(row)) - np.repeat(table.indptr[:-1], np.diff(table.indptr))  # the rows stay where they are
    strongest = order[rank < k]
    return sp.csr_array((table.data[strongest], (row[strongest], table.indices[strongest])), shape=table.shape)
