"""Training examples: relevant passages, and hard irrelevant passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.candidates import PADDING, Bools, Candidates, Ints, Vectors, top_k_of_scores
from rag.corpus.passages import Passages
from rag.learning.gains import Gains
from rag.tables import in_list

__all__ = ["Mined", "mined", "nearest"]

_TOGETHER = 256
"""Questions whose lists are made at a time."""


@dataclass(frozen=True)
class Mined:
    """Pairs of a question and a relevant passage, each with passages that are not relevant.

    Args:
        rows: The question of each pair, int64 [n], ascending.
        positives: The relevant passage, int64 [n].
        negatives: Passages that are not, int64 [n, k]; -1 where there are no more.
        left_out: Relevant documents whose passage nobody can tell: the list does not have them, and they have several.
    """

    rows: Ints
    positives: Ints
    negatives: Ints
    left_out: int

    def only(self, pairs: Bools, *, without: Bools) -> Mined:
        """Some of the pairs, bool [n], without some of the negatives, bool [n, k]."""
        negatives = np.where(without, PADDING, self.negatives)
        return Mined(self.rows[pairs], self.positives[pairs], negatives[pairs], self.left_out)

    def triples(self) -> tuple[Ints, Ints, Ints]:
        """Question, relevant passage and irrelevant passage, int64 [m] each."""
        at, column = np.nonzero(self.negatives >= 0)
        return self.rows[at], self.positives[at], self.negatives[at, column]

    def lists(self) -> list[tuple[int, list[int], list[int]]]:
        """For each question the relevant passages and those that are not, each once."""
        results = []
        for row in np.unique(self.rows).tolist():
            mine = self.rows == row
            negatives = np.unique(self.negatives[mine])
            results.append((row, self.positives[mine].tolist(), negatives[negatives >= 0].tolist()))
        return results


def mined(
    candidates: Candidates,
    gains: Gains,
    passages: Passages,
    *,
    n_positives: int,
    n_negatives: int,
    skip: int,
    margin: float | None,
) -> Mined:
    """The relevant documents of each question, by grade and then by rank, and the first of a list that are not.

    What stands highest without a judgment is often relevant, so the first ranks are passed over, and what scores
    nearly as high as the relevant passage is, too.

    Args:
        candidates: A list for each question.
        gains: The judgments.
        passages: To know the passage of a document that the list does not have.
        n_positives: Relevant documents of a question, at most.
        n_negatives: Passages that are not, for each of these, at most.
        skip: First ranks that are passed over.
        margin: A negative scores at most (1 - margin) times what the relevant passage does; None for scores that are no
            similarities.
    """
    relevant = gains.table
    order = in_list(candidates, relevant.documents)
    rank = np.where(order[1] >= 0, order[1], np.iinfo(np.int64).max)
    wrong = candidates.mask & (gains.of(candidates) == 0)
    wrong[:, :skip] = False
    rows: list[int] = []
    positives: list[int] = []
    negatives: list[Sequence[int]] = []
    left_out = 0
    for row in range(len(candidates)):
        relevant_columns = np.flatnonzero(relevant.mask[row])
        best = relevant_columns[np.lexsort((rank[row, relevant_columns], -relevant.scores[row, relevant_columns]))]
        taken = 0
        for column in best.tolist():
            if taken == n_positives:
                break
            position, score = int(order[1][row, column]), float(order[0][row, column])
            if position >= 0:
                passage = int(candidates.passages[row, position])
            elif passages.one_per_document:
                passage = int(relevant.documents[row, column])
            else:
                left_out += 1
                continue
            usable = wrong[row]
            if margin is not None and position >= 0:
                usable = usable & (candidates.scores[row] <= score - margin * abs(score))
            chosen = candidates.passages[row, np.flatnonzero(usable)[:n_negatives]].tolist()
            rows.append(row)
            positives.append(passage)
            negatives.append([*chosen, *[PADDING] * (n_negatives - len(chosen))])
            taken += 1
    table = np.array(negatives, dtype=np.int64).reshape(len(rows), n_negatives)
    return Mined(np.array(rows, dtype=np.int64), np.array(positives, dtype=np.int64), table, left_out)


def nearest(queries: Vectors, documents: Vectors, passages: Passages, depth: int) -> Candidates:
    """The nearest passages of each question, the best of each document, exact.

    Args:
        queries: Vectors of the questions, float32 [n, d].
        documents: Vectors of all passages, float32 [m, d].
        passages: The passages; those that nobody may find are left out.
        depth: Passages looked at for each question.
    """
    hidden = None if passages.findable is None else np.setdiff1d(np.arange(len(passages)), passages.findable)
    tables = []
    for first in range(0, len(queries), _TOGETHER):
        scores = queries[first : first + _TOGETHER] @ documents.T
        if hidden is not None:
            scores[:, hidden] = -np.inf
        columns, best = top_k_of_scores(scores, depth)
        positions = np.where(columns >= 0, passages.document[columns], columns)
        tables.append(Candidates(positions, best, columns).best_per_document(depth))
    return Candidates.stacked(tables)
