"""The scorer's order and the first stage's, mixed by rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats, Ints, rank
from rag.learning.gains import Gains
from rag.tables import columns_of

if TYPE_CHECKING:
    from rag.corpus.corpus import Corpus
    from rag.fitting import FitContext

__all__ = ["Qrels", "blended", "choosing_sample", "learned_weight", "training_sample"]

Qrels = Mapping[str, Mapping[str, int]]

_K = 60
"""Reciprocal rank fusion's constant (Cormack et al. 2009)."""

_WEIGHTS = np.linspace(0, 1, 21)
_DEPTH = 10


def training_sample(context: FitContext, most: int) -> tuple[QueryBatch, Candidates]:
    """At most so many training queries, evenly spread, and the candidates of the earlier steps for them."""
    return _sample(*context.training_run(), context, most)


def choosing_sample(context: FitContext, most: int) -> tuple[QueryBatch, Candidates, Qrels]:
    """The same of dev queries, where there are some, which a scorer was hardly trained on; with the judgments."""
    assert context.training is not None
    run = context.dev_run()
    if run is None or context.training.dev is None or not len(run[0]):
        return *training_sample(context, most), context.training.qrels
    return *_sample(*run, context, most), context.training.dev.qrels


def _sample(batch: QueryBatch, candidates: Candidates, context: FitContext, most: int) -> tuple[QueryBatch, Candidates]:
    rows = np.unique(np.linspace(0, len(batch) - 1, min(most, len(batch))).astype(np.int64))
    queries = [batch.queries[row] for row in rows.tolist()]
    return QueryBatch(queries, store=batch.store, ledger=context.ledger), candidates.rows(rows)


def blended(scored: Candidates, first: Candidates, weight: float) -> Candidates:
    """Reciprocal rank fusion of the scorer's order with the first stage's.

    Ranks, because scores of the two have no common scale. A document that the first stage did not list stands below its
    list.

    Args:
        scored: Best first by the scorer.
        first: The first stage's candidates.
        weight: 0 is the scorer's order, 1 the first stage's.
    """
    return scored.rescored(_mixed(scored, first, weight))


def learned_weight(scored: Candidates, first: Candidates, batch: QueryBatch, qrels: Qrels, corpus: Corpus) -> float:
    """The weight with the best mean nDCG@10 on judged queries.

    Of several, the least. When the best is not better than the first stage alone by more than one standard error of
    the paired differences, the scorer has not shown that it helps: the weight is 1.
    """
    gains = Gains(batch.queries, qrels, corpus).of(scored)
    values = [_ndcg(rank(scored.documents, _mixed(scored, first, float(weight))), gains) for weight in _WEIGHTS]
    best = int(np.argmax([value.mean() if len(value) else 0.0 for value in values]))
    difference = values[best] - values[-1]
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return float(_WEIGHTS[best]) if len(difference) and difference.mean() > error else 1.0


def _mixed(scored: Candidates, first: Candidates, weight: float) -> Floats:
    """Fused score of each document of ``scored``, float32; ``-inf`` at padding."""
    ranks = np.arange(1, scored.documents.shape[1] + 1)
    mixed = (1 - weight) / (_K + ranks) + weight / (_K + _ranks_in(scored.documents, first))
    return np.where(scored.mask, mixed, -np.inf).astype(np.float32)


def _ranks_in(positions: Ints, first: Candidates) -> Ints:
    """Rank from 1 of each document in the first stage's list; one below the end for those that are not in it."""
    columns = columns_of(first.documents, positions)
    return np.where(columns >= 0, columns + 1, first.counts[:, None] + 1)


def _ndcg(order: Ints, gains: Floats) -> Floats:
    """nDCG@10 of an order of columns against the best order of the same documents, of the queries that have a relevant
    one among them: enough to compare weights.
    """
    depth = min(_DEPTH, gains.shape[1])
    discount = 1 / np.log2(np.arange(2, depth + 2))
    reached = np.take_along_axis(gains, order[:, :depth], 1) @ discount
    best = -np.sort(-gains, axis=1)[:, :depth] @ discount
    return np.asarray(reached[best > 0] / best[best > 0])
