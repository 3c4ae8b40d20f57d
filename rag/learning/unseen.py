"""Judgments hidden from each training query, so that no learner sees the query it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag.candidates import Ints
from rag.duplicates import groups_of, similar
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from rag.learning.training import Training

__all__ = ["N_FOLDS", "LeaveOut", "Unseen"]

LeaveOut = Literal["duplicates", "documents"]
"""What else is hidden from a training query beside its own judgments: those of questions that are the same or nearly
so; or of all that share a relevant document with it, too."""

N_FOLDS = 4
"""Number of folds of training queries: each is answered by what was learned from the others."""

_NEAR = 0.8
"""Share of common words (Jaccard) from which questions count as duplicates."""


@dataclass(frozen=True)
class Unseen:
    """The judged queries that count as never judged, for each row of a batch of training queries.

    Args:
        ids: Of the judged queries.
        hidden: Which of them are hidden from each row, scipy CSR array of bool [rows, ids]; a query is always hidden
            from itself.
        folds: Part that each row belongs to, int64 [rows], 0 to :data:`N_FOLDS` - 1. Rows that hide each other are in
            one part, where questions are the same.
        fingerprint: Identity of the whole, also of a part of it.
    """

    ids: Sequence[str]
    hidden: Any
    folds: Ints
    fingerprint: str

    @classmethod
    def of(cls, training: Training, leave_out: LeaveOut = "duplicates") -> Unseen:
        """The judgments that training queries, in their order, must not see."""
        import scipy.sparse as sp

        ids = [query.id for query in training.queries]
        n = len(ids)
        same = groups_of(n, similar([query.text for query in training.queries], near=_NEAR))
        member = sp.csr_array((np.ones(n, dtype=np.int32), (np.arange(n), same)))
        hidden = member @ member.T
        groups = same
        if leave_out == "documents":
            shared = _relevant(training)
            hidden = hidden + shared @ shared.T
            connected = sp.csgraph.connected_components(hidden, directed=False)[1]
            if np.bincount(connected).max(initial=0) <= -(-n // N_FOLDS):
                groups = np.asarray(connected, dtype=np.int64)  # one large part would leave nothing to learn from
        hidden = sp.csr_array(hidden.astype(bool))
        hidden.sort_indices()
        made_of = [ids, hidden.indices.tolist(), hidden.indptr.tolist()]
        return cls(ids, hidden, _folds(groups), fingerprint(made_of))

    def select(self, rows: slice | Ints) -> Unseen:
        """The same for some of the rows."""
        return Unseen(self.ids, self.hidden[rows], self.folds[rows], self.fingerprint)

    def among(self, ids: Sequence[str]) -> Any:
        """Whether each of other judged queries, by id, is hidden from each row: CSR array of bool [rows, ids]."""
        if list(ids) == list(self.ids):
            return self.hidden
        import scipy.sparse as sp

        row_of = {id: index for index, id in enumerate(self.ids)}
        pairs = [(row_of[id], column) for column, id in enumerate(ids) if id in row_of]
        old, new = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        moved = sp.csr_array((np.ones(len(old), dtype=np.int32), (old, new)), shape=(len(self.ids), len(ids)))
        return sp.csr_array((self.hidden.astype(np.int32) @ moved).astype(bool))


def _relevant(training: Training) -> Any:
    """Whether a document is relevant to a training query, CSR array [queries, documents]."""
    import scipy.sparse as sp

    documents: dict[str, int] = {}
    rows, columns = [], []
    for row, query in enumerate(training.queries):
        for id, grade in training.qrels.get(query.id, {}).items():
            if grade > 0:
                rows.append(row)
                columns.append(documents.setdefault(id, len(documents)))
    shape = (len(training.queries), max(len(documents), 1))
    return sp.csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)


def _folds(groups: Ints) -> Ints:
    """A fold for each query: groups in a shuffled order, each to the smallest fold, int64 [n]."""
    sizes = np.bincount(groups)
    order = np.random.default_rng(0).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(N_FOLDS, dtype=np.int64)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    for group in order.tolist():
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups]
