"""How much of a scorer's own ranking of the whole corpus a pipeline finds with its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.candidates import Floats, Ints, top_k_of_scores
from rag.errors import ConfigError
from rag.eval.measures.interval import means
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.result import Evaluation
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.stage import PairScorer
from rag.store.store import Store
from rag.types import Query

__all__ = ["against_exact", "last_scorer"]

DEPTHS = (1, 10, 100)
_RANKED = 1000
"""Documents of the exact ranking that measures are computed on."""

_TOGETHER = 4096
"""Pairs asked for at a time."""


def last_scorer(pipeline: Pipeline) -> PairScorer:
    """The scorer of the last stage that spends one.

    Raises:
        ConfigError: There is none.
    """
    for stage in reversed(pipeline.stages):
        if stage.spends:
            return stage.spends[0]
    raise ConfigError("to compare with the exact ranking of a scorer, the pipeline needs a stage that has one")


@refuses_unknown
def against_exact(
    evaluation: Evaluation,
    n: int,
    *,
    seed: int = 0,
    store: Store | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Score all passages for some queries with the scorer of the pipeline's last scoring stage, and compare.

    Top-k-Recall@cost (Yadav et al., EMNLP 2022): the share of the scorer's best ``k`` documents of the whole corpus, of
    those that pass the query's filter, that the pipeline returned, at the scorer calls it spent per query. Scores are
    kept in the store, so that it can be stopped and asked again.

    Args:
        evaluation: What was measured; its pipeline is fitted.
        n: Queries with a text, drawn at random from the split; all when there are fewer.
        seed: Of the drawing.
        store: Where scores are kept and found again.
        progress: Shows how far it is.

    Returns:
        The evaluation with ``against_exact`` among its metrics; see ``docs/run-folder.md``.

    Raises:
        ConfigError: The pipeline has no scorer, or ``n`` is below 1.
    """
    if n < 1:
        raise ConfigError(f"must be at least 1, got {n}", parameter="against_exact")
    pipeline, split = evaluation.pipeline, evaluation.split
    scorer = last_scorer(pipeline)
    asked = [query for query in split.queries if query.text.strip()]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(asked))[:n])
    queries = [asked[number] for number in chosen.tolist()]
    scores = _exact(scorer, pipeline, queries, store, progress)
    if evaluation.record.ignore_identical_ids:
        for row, query in enumerate(queries):
            place = pipeline.corpus.position(query.id)
            if place is not None:
                scores[row, place] = -np.inf
    positions, _ = top_k_of_scores(scores, _RANKED)
    pairs = list(zip(queries, positions, strict=True))
    recall = np.array([[_found(evaluation.run[query.id], row[:k], pipeline) for k in DEPTHS] for query, row in pairs])
    recalls = means([str(depth) for depth in DEPTHS], recall, seed=seed)
    qrels = {query.id: split.qrels[query.id] for query in queries}
    measures = parse_measures(list(evaluation.record.measures))
    ranking = {query.id: _ranked(pipeline, row) for query, row in pairs}
    exact = per_query(measures, qrels, ranking)
    found = {
        "scorer": repr(scorer),
        "n_queries": len(queries),
        "calls_per_query": evaluation.record.costs.scorer_calls / evaluation.record.n_queries,
        "recall": {depth: mean.model_dump(mode="json") for depth, mean in recalls.items()},
        "measures": {
            name: {
                "exact": float(np.mean(list(values_of.values()))),
                "pipeline": float(np.mean([evaluation.values[name][query.id] for query in queries])),
            }
            for name, values_of in exact.items()
        },
    }
    return replace(evaluation, record=evaluation.record.model_copy(update={"against_exact": found}))


def _exact(
    scorer: PairScorer, pipeline: Pipeline, queries: Sequence[Query], store: Store | None, progress: Progress
) -> Floats:
    """Every document's score by its best passage, float32 [n_queries, n_documents]; ``-inf`` for those that the query's
    filter hides.
    """
    batch, passages = QueryBatch(queries, store=store), pipeline.passages
    scores = np.empty((len(queries), len(passages)), dtype=np.float32)
    step = max(1, _TOGETHER // len(queries))
    lengths = passages.end - passages.start
    order = np.argsort(-lengths, kind="stable")  # of one length together, the longest first
    with progress(f"scoring everything ({scorer.type})", scores.size) as advance:
        for first in range(0, len(order), step):
            some = np.sort(order[first : first + step])
            rows, columns = np.repeat(np.arange(len(queries)), len(some)), np.tile(some, len(queries))
            scores[:, some] = scorer.score(batch, rows, columns).reshape(len(queries), -1)
            advance(len(rows))
    for group in batch.groups(passages):
        if group.allowed is not None:
            hidden = np.ones(len(passages), dtype=bool)
            hidden[group.allowed] = False
            scores[np.ix_(np.arange(len(queries))[group.rows], hidden)] = -np.inf
    starts = np.searchsorted(passages.document, np.arange(len(pipeline.corpus)))
    return np.asarray(np.maximum.reduceat(scores, starts, axis=1))


def _found(run: Mapping[str, float], best: Ints, pipeline: Pipeline) -> float:
    """Share of these documents that were returned; 1 when there are none."""
    ids = pipeline.corpus.ids(best[best >= 0])
    return float(np.mean([identity in run for identity in ids])) if ids else 1.0


def _ranked(pipeline: Pipeline, positions: Ints) -> dict[str, float]:
    """A run in this order; steps of one, so that ties stay as they are broken."""
    ids = pipeline.corpus.ids(positions[positions >= 0])
    return {identity: float(len(ids) - place) for place, identity in enumerate(ids)}
