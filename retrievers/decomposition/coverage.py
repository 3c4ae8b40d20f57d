"""Lists of a question's parts brought together so that each part is covered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.candidates import PADDING, Candidates, Ints
from rag.retrievers.fusion.base import Doubles
from rag.retrievers.fusion.min_max import MinMax
from rag.tables import grouped

__all__ = ["fused_by_coverage"]


def fused_by_coverage(
    whole: Candidates, parts: Sequence[Candidates], *, question_weight: float, coverage: float, top_k: int
) -> Candidates:
    """Choose documents one after another, each by its relevance to the question and to the parts that those before it
    have left uncovered (Agrawal et al., WSDM 2009; Santos et al., WWW 2010).

    Relevance is the scores of a list scaled from 0 to 1. A document chosen leaves ``1 - coverage * relevance`` of what
    is left of a part. Gains only fall, so they are the scores of the result, from 0 to 1. A question without parts
    keeps its list.

    Args:
        whole: The list of the whole question, [n, k].
        parts: Lists of the first part, the second, ...; a question without that part has an empty row.
        question_weight: Weight of the whole question against the mean of its parts, 0 to 1.
        coverage: How much of a part a perfect document covers, 0 to 1; 0 adds the lists up.
        top_k: Documents returned.
    """
    values = MinMax().contributions(whole)[0]
    plain = whole.rescored(np.where(whole.mask, values, -np.inf).astype(np.float32), top_k=top_k)
    is_split = np.zeros(len(whole), dtype=bool)
    for table in parts:
        is_split |= table.counts > 0
    rows = np.flatnonzero(is_split)
    if not len(rows):
        return plain
    some = [table.rows(rows) for table in (whole, *parts)]
    fused = _fused(some[0], some[1:], question_weight, coverage, top_k)
    return plain.where(~is_split, fused.spread(rows, len(whole)))


def _fused(
    whole: Candidates, parts: Sequence[Candidates], question_weight: float, coverage: float, top_k: int
) -> Candidates:
    n, lists = len(whole), [whole, *parts]
    rows, documents, passages, values, kinds = [], [], [], [], []
    for kind, table in enumerate(lists):
        row, column = np.nonzero(table.mask)
        rows.append(row)
        documents.append(table.documents[row, column])
        passages.append(table.passages[row, column])
        values.append(MinMax().contributions(table)[0][row, column])
        kinds.append(np.full(len(row), kind))
    row, document, passage = np.concatenate(rows), np.concatenate(documents), np.concatenate(passages)
    value, kind_of = np.concatenate(values), np.concatenate(kinds)
    # A document's passage is that of the list in which it stands highest.
    order, starts = grouped(row, document, -value)
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    first = order[starts]
    row_of, n_of = row[first], np.bincount(row[first], minlength=n)
    column_of = np.arange(len(first)) - (np.cumsum(n_of) - n_of)[row_of]
    relevance = np.zeros((len(lists), n, int(n_of.max())))
    relevance[kind_of[order], row_of[group], column_of[group]] = value[order]
    # A question has a part when that found something.
    n_parts = np.sum([table.counts > 0 for table in parts], axis=0)
    share = (1 - question_weight) / n_parts
    by_question = np.where(np.arange(relevance.shape[2]) < n_of[:, None], question_weight * relevance[0], -np.inf)
    columns, gains = _chosen(by_question, share[:, None] * relevance[1:], relevance[1:], coverage, top_k)
    turn = np.arange(columns.shape[1])
    real = turn < n_of[:, None]
    flat = (np.cumsum(n_of) - n_of)[:, None] + columns
    flat = np.where(real, flat, 0)
    return Candidates.from_scores(
        np.where(real, document[first][flat], PADDING),
        np.where(real, gains, -np.inf).astype(np.float32),
        np.where(real, passage[first][flat], PADDING),
    )


def _chosen(own: Doubles, gain: Doubles, relevance: Doubles, coverage: float, top_k: int) -> tuple[Ints, Doubles]:
    """Columns in the order in which they are chosen, and their gains, [n, turns] each; real columns first.

    Args:
        own: Gain by the whole question, float64 [n, m].
        gain: Gain by each part while nothing of it is covered, float64 [parts, n, m].
        relevance: Relevance to each part, float64 [parts, n, m].
        coverage: What a relevance of 1 covers.
        top_k: Turns at most.
    """
    n, m = own.shape
    turns, every = min(top_k, m), np.arange(n)
    left = np.ones((*relevance.shape[:2], 1))
    open_own = own.copy()
    columns, gains = np.empty((n, turns), dtype=np.int64), np.empty((n, turns))
    for turn in range(turns):
        total = open_own + (gain * left).sum(axis=0)
        best = total.argmax(axis=1)
        columns[:, turn], gains[:, turn] = best, total[every, best]
        left *= 1 - coverage * relevance[:, every, best][..., None]
        open_own[every, best] = -np.inf
    return columns, gains
