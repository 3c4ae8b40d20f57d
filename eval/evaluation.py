"""Running a pipeline on a dataset: what it finds, how fast, and at what cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.calls import MAX_FAILED, remarks_on
from rag.candidates import Candidates, Ints
from rag.corpus.corpus import Corpus
from rag.corpus.readers import read_corpus
from rag.costs import Ledger
from rag.eval.answers import Values, measure_answers
from rag.eval.attribution import Attribution
from rag.eval.calls import called, calls_of
from rag.eval.cuts import Cuts
from rag.eval.datasets.base import Dataset, Split
from rag.eval.failures import failure_modes, summary_of_failures
from rag.eval.filtering import filter_logs
from rag.eval.judge import Judge, Judgement
from rag.eval.judging import check_judges, judge_answers
from rag.eval.latency import time_alone
from rag.eval.measures import DEFAULT_MEASURES, Run, check_judgements, interval, parse_measures, per_query, short_lists
from rag.eval.overlap import learned_parts, overlap_note, overlap_of
from rag.eval.provenance import documents_fingerprint, machine, queries_fingerprint, versions
from rag.eval.remarks import run_remarks, split_remarks
from rag.eval.saved import differences
from rag.eval.slices import slices_of
from rag.eval.stage_tops import StageTop, StageTops
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.remarks import Remarks
from rag.store.store import Store
from rag.types import Query, SearchResult

__all__ = ["SHOWN", "Evaluation", "as_run", "evaluate", "identical", "without"]

logger = logging.getLogger("rag.eval")

SHOWN = 10
"""Documents per query that an evaluation keeps as objects."""

_BATCH = 512
"""Queries searched together when measuring throughput."""


@dataclass(frozen=True)
class Evaluation:
    """What came out of :func:`evaluate`.

    Args:
        pipeline: What was evaluated, fitted.
        metrics: What ``metrics.json`` holds; see ``docs/run-folder.md``.
        values: Value of each judged query by measure name by query id.
        run: Score by document id by query id, best first; ties broken as returned, by the least step of float32.
        results: The best ten documents of each judged query, in the order of the split.
        split: The queries and judgements it was measured on.
        lost_at: The stage to blame by (query id, document id), for relevant documents that were not returned.
        ranks: Rank in each of the lists of ``stages`` by (query id, document id), for relevant documents; None where it
            is not there.
        failures: What went wrong with each query, by query id; see :func:`rag.eval.failures.failure_modes`.
        stages: The best ten after each stage, and before it of each part of a hybrid or keyed retriever; a row a query
            in the order of ``results``.
        answers: Measures of the answers by name, by query id; empty where the pipeline writes none.
        judged: What each judge made of them, by its name, by query id.
    """

    pipeline: Pipeline
    metrics: Mapping[str, Any]
    values: Mapping[str, Mapping[str, float]]
    run: Run
    results: Sequence[SearchResult]
    split: Split
    lost_at: Mapping[tuple[str, str], str]
    ranks: Mapping[tuple[str, str], Sequence[int | None]]
    failures: Mapping[str, Sequence[Mapping[str, Any]]]
    stages: Sequence[StageTop]
    answers: Values = field(default_factory=dict)
    judged: Mapping[str, Mapping[str, Judgement]] = field(default_factory=dict)

    def mean(self, measure: str) -> float:
        """Mean of a measure over all judged queries."""
        return float(self.metrics["measures"][measure]["mean"])


@refuses_unknown
def evaluate(
    pipeline: Pipeline,
    dataset: Dataset,
    *,
    split: str = "test",
    measures: Sequence[str] = DEFAULT_MEASURES,
    ignore_identical_ids: bool = False,
    seed: int = 0,
    progress: Progress = no_progress,
    store: Store | None = None,
    timed: bool = True,
    answer: bool = True,
    judge: Judge | Sequence[Judge] = (),
    labels: Mapping[str, bool] | None = None,
    max_failed: float = MAX_FAILED,
    fit: bool = True,
) -> Evaluation:
    """Fit a pipeline on a dataset's corpus (training queries are its ``train`` split) and measure it on a split.

    Quality is measured on one pass in large batches, which also gives the throughput; latency one query at a time on up
    to 100 of them, until 5 seconds have passed. What a store has is not computed again: lists of candidates by query
    and by the steps that made them, with what they cost then; latencies as this machine had them then.

    Args:
        pipeline: Fitted here, also when it was fitted before; see ``fit``.
        dataset: Documents and judged queries.
        split: The queries that are reported on. Never tune on these.
        measures: Names as ir_measures spells them; the first one is the headline.
        ignore_identical_ids: Leave a document out whose id is the query's (as ArguAna's queries are documents).
        seed: Of fitting, of the resampling behind intervals, and of which queries are timed.
        progress: Shows how far it is.
        store: Where what is computed is kept and found again; None keeps nothing.
        timed: Whether to measure latency, for which queries are asked again one by one, without having them answered.
        answer: Whether a stage such as ``generate`` writes its answers, which costs calls of a language model.
        judge: Judges the answers of the pipeline; see :func:`rag.eval.judging.judge_answers`, also for several.
        labels: Whether an answer is faithful by query id, as people see it.
        max_failed: Share of the texts asked of a language model that may be missing, in [0, 1]; with more,
            ``incomplete`` of the metrics says why the figures do not stand for the pipeline.
        fit: False measures a fitted pipeline, such as a loaded one, as it is; documents in which it differs from the
            dataset's are counted in the notes.

    Raises:
        NotFittedError: It is to be measured as it is, and was not fitted.
        ConfigError: An unknown measure, a judge of a pipeline that writes no answers, or a component that learns while
            there is no ``train`` split to learn from.
        DataError: The dataset has no such split, or no judged query in it.
    """
    parsed = parse_measures(measures)
    judges = [judge] if isinstance(judge, Judge) else list(judge)
    writing = check_judges(pipeline, judges, labels) if answer or judges or labels else None
    chosen = dataset.split(split)
    check_judgements(parsed, chosen.qrels)
    training = dataset.training(split)
    if fit:
        pipeline.fit(dataset.corpus, training=training, progress=progress, seed=seed, store=store)
    as_it_is = [] if fit else differences(pipeline, dataset, chosen)
    for note in as_it_is:
        logger.warning("%s", note)

    ledger, kept, filters = Ledger(), _Kept(), filter_logs(pipeline)
    attribution, tops = Attribution(pipeline.step_names), StageTops(pipeline.step_names, SHOWN)
    cuts = Cuts(pipeline)
    results: list[SearchResult] = []
    run: dict[str, dict[str, float]] = {}
    started = time.perf_counter()
    with progress(f"searching ({split})", len(chosen.queries)) as advance:
        for first in range(0, len(chosen.queries), _BATCH):
            queries = chosen.queries[first : first + _BATCH]
            batch = QueryBatch(queries, trace={}, store=store, answers={} if writing else None, progress=progress)
            candidates = pipeline.run(batch)
            ledger.add(batch.ledger)
            kept.add(batch)
            ignored = identical(queries, pipeline.corpus) if ignore_identical_ids else None
            for log in filters:
                log.add(batch, pipeline, chosen.qrels, ignored)
            trace = batch.trace or {}
            if not first:  # the parts of a retriever are known once they were asked
                attribution.lists = tops.stages = _lists(trace, pipeline.step_names)
            tables = {name: trace.get(name, Candidates.empty(len(queries))) for name in tops.stages}
            if ignored is not None:
                tables = {name: without(table, ignored) for name, table in tables.items()}
            attribution.add(queries, tables, pipeline.corpus, chosen.qrels, ignored, cuts.passed(batch))
            tops.add(tables)
            if ignored is not None:
                candidates = without(candidates, ignored)
            results += pipeline.results(batch, candidates.head(SHOWN))
            run |= as_run(queries, candidates, pipeline.corpus)
            advance(len(queries))
    spent = time.perf_counter() - started

    latencies = []
    if timed:
        latencies = time_alone(pipeline, chosen.queries, seed=seed, store=store, progress=progress)

    answers = None
    if writing:
        answers = measure_answers(writing, results, chosen.qrels, ledger.stages[writing], seed=seed)
    with progress("measuring", None):
        values = per_query(parsed, chosen.qrels, run)
    table = np.array([[values[str(m)][query.id] for m in parsed] for query in chosen.queries], dtype=np.float64)
    intervals = interval(table, seed=seed)
    failures = failure_modes(attribution, parsed[0], chosen.qrels, values[str(parsed[0])], cuts.modes(attribution))
    calls = calls_of(pipeline.fit_costs, ledger, len(chosen.queries), writing)
    untimed = (  # what the times do not say
        [f"latencies are without {writing}: no answer is asked for again to be timed"] if writing and timed else []
    )
    booked = ledger.total.seconds
    if store is not None and booked > 2 * spent:
        untimed.append(
            f"of the {booked:.3g} s that searching is booked with, most were spent earlier: what the store had counts "
            "with what it cost then, also in the throughput"
        )
    remarks = Remarks(
        [
            *remarks_on(calls),
            *dataset.remarks,
            *split_remarks(dataset, split),
            *run_remarks(pipeline, chosen, run),
        ]
    )
    short = short_lists(parsed, run, len(pipeline.corpus))
    for note in (*as_it_is, *short, *(answers.notes if answers else ()), *untimed):
        remarks.add("note", note)
    for note in overlap_note(chosen, training):
        remarks.add("shared_with_training", note)
    corpus = {
        "documents": pipeline.corpus.n_alive,
        "passages": len(pipeline.passages),
        "fingerprint": documents_fingerprint(read_corpus(dataset.corpus) if fit else pipeline.corpus.living()),
    }
    metrics = {
        "dataset": dataset.name,
        "split": split,
        "n_queries": len(chosen.queries),
        "measures": {
            str(measure): {
                "mean": float(table[:, number].mean()),
                "ci95": list(intervals[number]) if intervals else None,
            }
            for number, measure in enumerate(parsed)
        },
        "latency_ms": {
            "p50": float(np.percentile(latencies, 50) * 1e3),
            "p95": float(np.percentile(latencies, 95) * 1e3),
            "n_queries": len(latencies),
        }
        if latencies
        else None,
        "throughput_qps": len(chosen.queries) / ledger.total.seconds,
        "costs": ledger.total.as_dict(),
        "stages": [
            {"name": name, "candidates": kept.mean(name)} | costs.as_dict() for name, costs in ledger.stages.items()
        ],
        "attribution": attribution.summary(parsed[0], chosen.qrels),
        "failures": summary_of_failures(failures, chosen.queries, len(attribution.keys), cuts.setting),
        "slices": slices_of(chosen, [str(measure) for measure in parsed], table, training=training, seed=seed),
        "overlap": overlap_of(chosen, training),
        "learned": learned_parts(pipeline),
        "fit": [{"name": name} | costs.as_dict() for name, costs in pipeline.fit_costs.stages.items()],
        "indexes": _indexes(pipeline),
        "filters": [log.summary() for log in filters],
        "answers": answers.summary if answers else None,
        "corpus": corpus,
        "config_fingerprint": pipeline.fingerprint,
        "queries_fingerprint": queries_fingerprint(chosen),
        "versions": versions(),
        "machine": machine(),
        "seed": seed,
        "ignore_identical_ids": ignore_identical_ids,
        **called(calls, max_failed),
        "max_failed": max_failed,
        "remarks": remarks.as_dicts(),
        "notes": remarks.messages,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    evaluation = Evaluation(
        pipeline,
        metrics,
        values,
        run,
        results,
        chosen,
        attribution.lost_at(),
        attribution.ranks(),
        failures,
        tops.all(),
        answers.values if answers else {},
    )
    if not judges:
        return evaluation
    return judge_answers(evaluation, judges, labels=labels, seed=seed, store=store, progress=progress)


def _lists(trace: Mapping[str, Candidates], steps: Sequence[str]) -> list[str]:
    """The steps and their parts, such as ``retriever.0 bm25``, each part before its step, as they were recorded."""
    return [name for name in trace if name in steps or name.startswith(tuple(f"{step}." for step in steps))]


class _Kept:
    """Mean number of candidates after each stage."""

    def __init__(self) -> None:
        self.queries = 0
        self.candidates: dict[str, int] = {}

    def add(self, batch: QueryBatch) -> None:
        self.queries += len(batch)
        for name, table in (batch.trace or {}).items():
            self.candidates[name] = self.candidates.get(name, 0) + int(table.counts.sum())

    def mean(self, name: str) -> float:
        return self.candidates.get(name, 0) / max(self.queries, 1)


def as_run(queries: Sequence[Query], candidates: Candidates, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Score by document by query, in the order of the ranking.

    Measures sort by score and break ties each in its own way. What a user gets is an order, so ties are broken as
    returned: a score that is not below the one before it is lowered to the next smaller float32.
    """
    scores = candidates.scores.copy()
    for column in range(1, scores.shape[1]):
        scores[:, column] = np.minimum(
            scores[:, column], np.nextafter(scores[:, column - 1], -np.inf, dtype=np.float32)
        )
    run = {}
    names = _names(candidates, corpus)
    for row, query in enumerate(queries):
        n = len(names[row])
        run[query.id] = dict(zip(names[row], scores[row, :n].tolist(), strict=True))
    return run


def _names(candidates: Candidates, corpus: Corpus) -> list[list[str]]:
    """Ids of the candidates of each query, in order."""
    documents, where = np.unique(candidates.positions[candidates.mask], return_inverse=True)
    ids = corpus.ids(documents)
    flat = iter(where.tolist())
    return [[ids[next(flat)] for _ in range(count)] for count in candidates.counts.tolist()]


def identical(queries: Sequence[Query], corpus: Corpus) -> Ints:
    """Position of the document whose id is the query's, int64 [n]; -2 where there is none."""
    own = (corpus.position(query.id) for query in queries)
    return np.array([-2 if place is None else place for place in own], dtype=np.int64)


def without(candidates: Candidates, documents: Ints) -> Candidates:
    """Drop one document from each query's candidates.

    Args:
        candidates: Of n queries.
        documents: The positions of the documents, int64 [n].
    """
    dropped = candidates.positions == documents[:, None]
    return candidates.rescored(np.where(dropped, np.float32(-np.inf), candidates.scores))


def _indexes(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Size and building time of each index in the tree."""
    found = []
    for path, part in pipeline.spec.walk():
        if part.kind == "index":
            index: Any = part  # what the kind promises; its class is another floor's
            size = int(index.bytes)
            found.append(
                {
                    "name": path,
                    "type": part.type,
                    "bytes": size,
                    "bytes_per_document": size / max(len(pipeline.corpus), 1),
                    "build_seconds": float(index.build_seconds),
                }
            )
    return found
