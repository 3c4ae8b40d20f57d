"""Evaluating a pipeline on a dataset: search, measure, diagnose, describe."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.arguments import refuses_unknown
from rag.calls import MAX_FAILED, remarks_on
from rag.corpus.readers import read_corpus
from rag.eval.datasets.base import Dataset, Split
from rag.eval.diagnostics.calls import called, calls_of
from rag.eval.diagnostics.failures import failure_modes, summary_of_failures
from rag.eval.diagnostics.observing import SHOWN, Observer
from rag.eval.diagnostics.overlap import learned_parts, overlap_note, overlap_of
from rag.eval.diagnostics.remarks import run_remarks, split_remarks
from rag.eval.diagnostics.saved_index import differences
from rag.eval.diagnostics.slices import slices_of
from rag.eval.judges.base import Judge
from rag.eval.judges.judging import check_judges, judge_answers
from rag.eval.measures.answers import Answers, measure_answers
from rag.eval.measures.interval import means
from rag.eval.measures.latency import time_alone
from rag.eval.measures.names import DEFAULT_MEASURES, parse_measures
from rag.eval.measures.propensity import with_training
from rag.eval.measures.values import Run, check_qrels, per_query, short_lists
from rag.eval.metrics import (
    CorpusSize,
    FailureMode,
    IndexSize,
    Latency,
    Losses,
    Mean,
    Metrics,
    Slice,
    Spending,
    StageCosts,
    StepCosts,
)
from rag.eval.result import Evaluation
from rag.eval.runs.provenance import documents_fingerprint, machine, models_of, queries_fingerprint, versions
from rag.eval.runs.ranking import as_run
from rag.eval.searching import search_split
from rag.learning.training import Training
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.remarks import Remarks
from rag.store.store import Store
from rag.types import SearchResult, SearchResults
from rag.waiting import working_time

__all__ = ["evaluate"]

logger = logging.getLogger("rag.eval")


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

    Quality is measured in one pass in large batches, which also gives the throughput; latency with single queries, up
    to 100 of them, for at most 5 seconds. Cached results are not computed again: candidate lists by query and by the
    steps that made them, with their original cost; latencies as measured on this machine.

    Args:
        pipeline: The pipeline, fitted here even if it was fitted before; see ``fit``.
        dataset: Documents and judged queries.
        split: The queries that are reported on. Never tune on these.
        measures: Names as ir_measures spells them; the first one is the headline.
        ignore_identical_ids: Leave out documents whose id is the query's (in ArguAna the queries are documents).
        seed: Seed of fitting, of the resampling behind intervals, and of the choice of queries that are timed.
        progress: Callback that shows progress.
        store: Cache of vectors, candidate lists, answers and latencies; None caches nothing.
        timed: Whether to measure latency: queries are searched again one by one, without writing answers.
        answer: Whether stages such as ``generate`` write answers, which costs calls of a language model.
        judge: Judges the answers of the pipeline; see :func:`rag.eval.judges.judging.judge_answers`, also for several.
        labels: Whether people consider each answer faithful, by query id.
        max_failed: Share of the requested language model texts that may be missing, in [0, 1]; above it,
            ``incomplete`` of the metrics says why the figures are not valid for the pipeline.
        fit: Whether to fit the pipeline. False measures a fitted pipeline, such as a loaded one, as it is; the notes
            count documents that differ from the dataset's.

    Raises:
        NotFittedError: ``fit`` is False and the pipeline is not fitted.
        ConfigError: An unknown measure, a judge without answers, or a component that needs a ``train`` split.
        DataError: The dataset has no such split, or no judged query in it.
    """
    parsed = with_training(parse_measures(measures), dataset)
    judges = [judge] if isinstance(judge, Judge) else list(judge)
    writing = check_judges(pipeline, judges, labels) if answer or judges or labels else None
    request = _Request(
        pipeline,
        dataset,
        split,
        dataset.split(split),
        parsed,
        writing,
        ignore_identical_ids=ignore_identical_ids,
        seed=seed,
        timed=timed,
        max_failed=max_failed,
        fit=fit,
    )
    check_qrels(parsed, request.split.qrels)
    if fit:
        pipeline.fit(dataset.corpus, training=request.training, progress=progress, seed=seed, store=store)
    notes = [] if fit else differences(pipeline, dataset, request.split)
    for note in notes:
        logger.warning("%s", note)
    search = _search(request, store, progress)
    measured = _measure(request, search, store, progress)
    diagnosis = _diagnose(request, search, measured)
    record = _describe(request, search, measured, diagnosis, notes, _untimed(request, search, store is not None))

    observer = search.observer
    evaluation = Evaluation(
        pipeline,
        record,
        measured.values,
        search.run,
        search.results,
        request.split,
        observer.attribution.lost_at(),
        observer.attribution.ranks(),
        diagnosis.faults,
        observer.tops.all(),
        measured.answers.values if measured.answers else {},
    )
    if not judges:
        return evaluation
    return judge_answers(evaluation, judges, labels=labels, seed=seed, store=store, progress=progress)


@dataclass(frozen=True)
class _Request:
    """A pipeline, the queries to measure it on, and the options of :func:`evaluate`.

    Args:
        measures: The parsed measures; the first one is the headline.
        writing: Name of the stage that is to write answers; None for none.
    """

    pipeline: Pipeline
    dataset: Dataset
    split_name: str
    split: Split
    measures: Sequence[Any]
    writing: str | None
    ignore_identical_ids: bool
    seed: int
    timed: bool
    max_failed: float
    fit: bool

    @cached_property
    def training(self) -> Training | None:
        """Queries and judgments that the pipeline may learn from."""
        return self.dataset.training(self.split_name)


# -- search ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Search:
    """All results, the diagnostics collected on the way, and the wall time in seconds."""

    run: Run
    results: Sequence[SearchResult]
    observer: Observer
    seconds: float


def _search(request: _Request, store: Store | None, progress: Progress) -> _Search:
    pipeline, queries = request.pipeline, request.split.queries
    observer = Observer(pipeline, request.split.qrels, request.measures[0])
    results = SearchResults()
    run: dict[str, dict[str, float]] = {}
    started = working_time()
    with progress(f"searching ({request.split_name})", len(queries)) as advance:
        for searched in search_split(
            pipeline,
            queries,
            store=store,
            trace=True,
            answer=request.writing is not None,
            ignore_identical_ids=request.ignore_identical_ids,
            progress=progress,
        ):
            observer.add(searched)
            results += pipeline.results(searched.batch, searched.candidates.head(SHOWN))
            run |= as_run(searched.queries, searched.candidates, pipeline.corpus)
            advance(len(searched.queries))
    return _Search(run, results, observer, working_time() - started)


# -- measure -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured:
    """Values of all measures.

    Args:
        values: Value by query id by measure name.
        table: The same, float64 [n_queries, n_measures].
        means: Means over the queries.
        answers: Measures of written answers; None if none were requested.
        latencies: Seconds of single queries; empty where not timed.
    """

    values: Mapping[str, Mapping[str, float]]
    table: npt.NDArray[np.float64]
    means: Mapping[str, Mean]
    answers: Answers | None
    latencies: Sequence[float]


def _measure(request: _Request, search: _Search, store: Store | None, progress: Progress) -> _Measured:
    split, seed, writing = request.split, request.seed, request.writing
    latencies = []
    if request.timed:
        latencies = time_alone(request.pipeline, split.queries, seed=seed, store=store, progress=progress)
    answers, spent = None, search.observer.ledger.stages
    if writing:
        answers = measure_answers(writing, search.results, split.qrels, spent[writing], seed=seed)
    with progress("measuring", None):
        values = per_query(request.measures, split.qrels, search.run)
    names = [str(measure) for measure in request.measures]
    table = np.array([[values[name][query.id] for name in names] for query in split.queries], dtype=np.float64)
    return _Measured(values, table, means(names, table, seed=seed), answers, latencies)


# -- diagnose ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Diagnosis:
    """Where quality is lost.

    Args:
        faults: Faults of each query, by query id.
        failures: Their summary, the most expensive first.
        losses: Relevant documents that are left after each stage.
        slices: The measures by kinds of queries.
        filters: Effect of each filter.
    """

    faults: Mapping[str, Sequence[Mapping[str, Any]]]
    failures: Sequence[FailureMode]
    losses: Losses
    slices: Sequence[Slice]
    filters: Sequence[Mapping[str, Any]]


def _diagnose(request: _Request, search: _Search, measured: _Measured) -> _Diagnosis:
    split, headline = request.split, request.measures[0]
    attribution, cuts = search.observer.attribution, search.observer.cuts
    values = measured.values[str(headline)]
    faults = failure_modes(attribution, headline, split.qrels, values, cuts.modes(attribution))
    return _Diagnosis(
        faults,
        summary_of_failures(faults, split.queries, len(attribution.keys), cuts.setting),
        attribution.summary(headline, split.qrels),
        slices_of(split, list(measured.means), measured.table, training=request.training, seed=request.seed),
        [log.summary() for log in search.observer.filters],
    )


# -- describe ----------------------------------------------------------------------------------------------------------


def _describe(
    request: _Request,
    search: _Search,
    measured: _Measured,
    diagnosis: _Diagnosis,
    notes: Sequence[str],
    untimed: Sequence[str],
) -> Metrics:
    pipeline, split = request.pipeline, request.split
    observer, ledger, answers = search.observer, search.observer.ledger, measured.answers
    calls = calls_of(pipeline.fit_costs, ledger, len(split.queries), request.writing)
    remarks = Remarks(
        [
            *remarks_on(calls),
            *request.dataset.remarks,
            *split_remarks(request.dataset, request.split_name),
            *run_remarks(pipeline, split, search.run),
        ]
    )
    notes = (*notes, *short_lists(request.measures, search.run, len(pipeline.corpus)))
    for note in (*notes, *(answers.notes if answers else ()), *untimed):
        remarks.add("note", note)
    for note in overlap_note(split, request.training):
        remarks.add("shared_with_training", note)
    return Metrics(
        dataset=request.dataset.name,
        split=request.split_name,
        n_queries=len(split.queries),
        measures=measured.means,
        latency_ms=_latency(measured.latencies),
        throughput_qps=len(split.queries) / ledger.total.seconds,
        costs=Spending.model_validate(ledger.total.as_dict()),
        stages=[
            StageCosts.model_validate({"name": name, "candidates": observer.candidates_after(name), **costs.as_dict()})
            for name, costs in ledger.stages.items()
        ],
        attribution=diagnosis.losses,
        failures=diagnosis.failures,
        slices=diagnosis.slices,
        overlap=overlap_of(split, request.training),
        learned=learned_parts(pipeline),
        changes=observer.values.summary(request.seed),
        fit=[
            StepCosts.model_validate({"name": name, **costs.as_dict()})
            for name, costs in pipeline.fit_costs.stages.items()
        ],
        indexes=_indexes(pipeline),
        filters=diagnosis.filters,
        answers=answers.summary if answers else None,
        corpus=CorpusSize(
            documents=pipeline.corpus.n_alive,
            passages=len(pipeline.passages),
            fingerprint=documents_fingerprint(
                read_corpus(request.dataset.corpus) if request.fit else pipeline.corpus.living()
            ),
        ),
        config_fingerprint=pipeline.fingerprint,
        queries_fingerprint=queries_fingerprint(split),
        versions=dict(versions()),
        machine=machine(),
        models=models_of(pipeline),
        seed=request.seed,
        ignore_identical_ids=request.ignore_identical_ids,
        **called(calls, request.max_failed),
        max_failed=request.max_failed,
        remarks=remarks.as_dicts(),
        notes=remarks.messages,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _untimed(request: _Request, search: _Search, stored: bool) -> list[str]:
    """Notes on the limits of the reported times."""
    notes = []
    if request.writing and request.timed:
        notes.append(f"latencies exclude {request.writing}: answers are not written again for timing")
    booked = search.observer.ledger.total.seconds
    if stored and booked > 2 * search.seconds:
        notes.append(
            f"of the {booked:.3g} s counted for searching, most were spent earlier: cached results count with "
            "their original cost, also in the throughput"
        )
    return notes


def _latency(seconds: Sequence[float]) -> Latency | None:
    if not seconds:
        return None
    p50, p95 = (float(np.percentile(seconds, share) * 1e3) for share in (50, 95))
    return Latency(p50=p50, p95=p95, n_queries=len(seconds))


def _indexes(pipeline: Pipeline) -> list[IndexSize]:
    """Size and building time of each index in the tree."""
    indexes: list[tuple[str, Any]] = [(path, part) for path, part in pipeline.spec.walk() if part.kind == "index"]
    return [
        IndexSize(
            name=path,
            type=index.type,
            bytes=int(index.bytes),
            bytes_per_document=int(index.bytes) / max(len(pipeline.corpus), 1),
            build_seconds=float(index.build_seconds),
        )
        for path, index in indexes
    ]
