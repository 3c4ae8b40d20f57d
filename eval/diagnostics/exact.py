"""Compare a pipeline with its scorer's own ranking of the whole corpus."""

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
"""Documents of the exact ranking on which measures are computed."""

_TOGETHER = 4096
"""Pairs scored at a time."""


def last_scorer(pipeline: Pipeline) -> PairScorer:
    """The scorer of the last stage that uses one.

    Raises:
        ConfigError: No stage uses one.
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

    Top-k-Recall@cost (Yadav et al., EMNLP 2022): the share of the scorer's best ``k`` documents of the whole corpus
    (those that pass the query's filter) that the pipeline returned, at the scorer calls it spent per query. Scores are
    cached in the store, so that an interrupted run can resume.

    Args:
        evaluation: An evaluation with its fitted pipeline.
        n: Number of queries with a text, drawn at random from the split; all when there are fewer.
        seed: Seed of the draw.
        store: Cache of the scores.
        progress: Callback that shows progress.

    Returns:
        The evaluation with ``against_exact`` in its metrics; see ``docs/run-folder.md``.

    Raises:
        ConfigError: The pipeline has no scorer, or ``n`` is below 1.
    """
    if n < 1:
        raise ConfigError(f"must be at least 1, got {n}", parameter="against_exact")
    pipeline, split = evaluation.pipeline, evaluation.split
    scorer = last_scorer(pipeline)
    asked = [query for query in split.queries if query.text.strip()]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(asked))[:n])
    queries = [asked[index] for index in chosen.tolist()]
    scores = _exact(scorer, pipeline, queries, store, progress)
    if evaluation.record.ignore_identical_ids:
        for row, query in enumerate(queries):
            position = pipeline.corpus.position(query.id)
            if position is not None:
                scores[row, position] = -np.inf
    positions, _ = top_k_of_scores(scores, _RANKED)
    pairs = list(zip(queries, positions, strict=True))
    recall = np.array([[_found(evaluation.run[query.id], row[:k], pipeline) for k in DEPTHS] for query, row in pairs])
    recalls = means([str(depth) for depth in DEPTHS], recall, seed=seed)
    qrels = {query.id: split.qrels[query.id] for query in queries}
    # The weights of PSP are not in the record.
    measures = [measure for measure in parse_measures(list(evaluation.record.measures)) if measure.NAME != "PSP"]
    ranking = {query.id: _ranked(pipeline, row) for query, row in pairs}
    exact = per_query(measures, qrels, ranking)
    comparison = {
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
    return replace(evaluation, record=evaluation.record.model_copy(update={"against_exact": comparison}))


def _exact(
    scorer: PairScorer, pipeline: Pipeline, queries: Sequence[Query], store: Store | None, progress: Progress
) -> Floats:
    """Score of every document by its best passage, float32 [n_queries, n_documents]; ``-inf`` where the query's
    filter excludes it.
    """
    batch, passages = QueryBatch(queries, store=store), pipeline.passages
    scores = np.empty((len(queries), len(passages)), dtype=np.float32)
    step = max(1, _TOGETHER // len(queries))
    lengths = passages.end - passages.start
    order = np.argsort(-lengths, kind="stable")  # similar lengths together, the longest first
    with progress(f"scoring everything ({scorer.type})", scores.size) as advance:
        for first in range(0, len(order), step):
            block = np.sort(order[first : first + step])
            rows, columns = np.repeat(np.arange(len(queries)), len(block)), np.tile(block, len(queries))
            scores[:, block] = scorer.score(batch, rows, columns).reshape(len(queries), -1)
            advance(len(rows))
    for group in batch.groups(passages):
        if group.allowed is not None:
            hidden = np.ones(len(passages), dtype=bool)
            hidden[group.allowed] = False
            scores[np.ix_(np.arange(len(queries))[group.rows], hidden)] = -np.inf
    starts = np.searchsorted(passages.document, np.arange(len(pipeline.corpus)))
    return np.asarray(np.maximum.reduceat(scores, starts, axis=1))


def _found(run: Mapping[str, float], best: Ints, pipeline: Pipeline) -> float:
    """Share of these documents that were returned; 1 without any."""
    ids = pipeline.corpus.ids(best[best >= 0])
    return float(np.mean([identity in run for identity in ids])) if ids else 1.0


def _ranked(pipeline: Pipeline, positions: Ints) -> dict[str, float]:
    """A run in this order, with strictly decreasing scores so that ties stay broken."""
    ids = pipeline.corpus.ids(positions[positions >= 0])
    return {identity: float(len(ids) - rank) for rank, identity in enumerate(ids)}
