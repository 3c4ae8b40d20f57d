"""Words of trusted passages added to a query, in flat arrays: a question asked alone feels every sparse matrix made."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rag.candidates import Candidates, Ints
from rag.retrievers.asked_again import trust
from rag.tables import product, summed

__all__ = ["expanded"]

Doubles = npt.NDArray[np.float64]


def expanded(
    queries: Any, passages: Any, lengths: Ints, trusted: Candidates, *, terms: int, original_weight: float
) -> Any:
    """Queries with words of trusted passages: RM3 (Abdul-Jaleel et al., TREC 2004).

    ``p(word) = sum over passages of trust x frequency / length``; the ``terms`` likeliest words, made to sum to 1, are
    mixed with the query's own. A query without trusted words stays as it is.

    Args:
        queries: Counts of each word in each query, CSR array [n, words].
        passages: Counts of each word in each passage, CSR array [passages, words]; a word may have several counts.
        lengths: Words of each passage, int64 [passages].
        trusted: Passages of each query, best first.
        terms: Words added, at most.
        original_weight: Weight of the query's own words, 0 to 1.

    Returns:
        float32 CSR array [n, words] with sorted indices, in sum as much as the query had words, so that scores keep
        their scale.
    """
    import scipy.sparse as sp

    n, n_words = queries.shape
    rows, columns = np.nonzero(trusted.mask)
    places = trusted.passages[rows, columns]
    weights = trust(trusted)[rows, columns] / np.maximum(lengths[places], 1)
    cells, model = product(rows, places, weights, passages, n_words)
    cells, model = _strongest(cells, model, cells // n_words, terms)

    own_rows = np.repeat(np.arange(n), np.diff(queries.indptr))
    own = np.bincount(own_rows, queries.data, minlength=n)
    more = np.bincount(cells // n_words, model, minlength=n)
    own_weight = np.where(more > 0, original_weight, 1.0)
    new_weight = np.where(more > 0, (1 - original_weight) * own / np.where(more > 0, more, 1), 0)
    both = np.concatenate([own_rows * n_words + queries.indices, cells])
    values = np.concatenate([queries.data * own_weight[own_rows], model * new_weight[cells // n_words]])
    both, values = summed(both, values)
    ends = np.searchsorted(both, np.arange(n + 1) * n_words).astype(np.int32)
    return sp.csr_array((values.astype(np.float32), (both % n_words).astype(np.int32), ends), shape=(n, n_words))


def _strongest(cells: Ints, values: Doubles, rows: Ints, k: int) -> tuple[Ints, Doubles]:
    """The ``k`` largest values of each row, to single precision, ties by cell."""
    order = np.lexsort((-values.astype(np.float32), rows))
    strongest = order[np.arange(len(rows)) - np.searchsorted(rows, rows) < k]  # the rows stay where they are
    return cells[strongest], values[strongest]
