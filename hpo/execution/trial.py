"""Measure one configuration on the tuning queries."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rag.batch import QueryBatch
from rag.calls import Calls, too_many_failed
from rag.corpus.readers import read_corpus
from rag.costs import Costs, Ledger
from rag.errors import ConfigError, DataError, IncompleteError
from rag.eval.datasets.base import Dataset, Split
from rag.eval.measures.answers import against_references, references_of
from rag.eval.measures.latency import time_alone
from rag.eval.measures.names import parse_measures
from rag.eval.measures.propensity import with_training
from rag.eval.measures.values import check_qrels, per_query
from rag.eval.runs.provenance import documents_fingerprint
from rag.eval.runs.ranking import as_run
from rag.eval.searching import search_split
from rag.hpo.execution.early_stopping import LEAST, blocks
from rag.hpo.sweep import Sweep
from rag.learning.training import Training
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint
from rag.store.store import Store

__all__ = ["Bench", "Measured", "index_bytes"]

Floats = npt.NDArray[np.float64]


@dataclass
class Measured:
    """The measurements of a configuration.

    Args:
        values: Value of each query by measure, in the order of :attr:`Bench.queries`; with early stopping only of the
            queries searched.
        metrics: All metrics of the sweep, and search costs per query; means are over the queries searched.
        seconds: Wall time.
        alone: Seconds without the store: reused artifacts count with their original cost.
        reused: Names of the artifacts reused from the store.
        stopped: Whether it was stopped early.
        calls: Texts requested from language models, by model and step, for documents (``fit``) or queries (``search``).
    """

    values: dict[str, Floats] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    alone: float = 0.0
    reused: tuple[str, ...] = ()
    stopped: bool = False
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)

    def check_calls(self, max_failed: float) -> None:
        """Refuse measurements with too many missing texts.

        Args:
            max_failed: Share of the texts of any one model in one step that may be missing, in [0, 1].

        Raises:
            IncompleteError: More texts are missing.
        """
        problem = too_many_failed(self.calls.values(), max_failed)
        if problem is not None:
            raise IncompleteError(problem)


Judge = Callable[[Measured], bool]
"""Function that decides whether to stop a trial."""


@dataclass(frozen=True)
class _Part:
    """Queries to measure with one fitted pipeline, and its training data."""

    split: Split
    training: Training | None


class Bench:
    """The tuning queries, and the measurement of pipelines on them.

    Args:
        sweep: The sweep with its metrics.
        dataset: Documents and judged queries.
        store: Cache of all computations.

    Raises:
        DataError: There is no split to tune on, or it has no query; or answers are measured, and a query lacks
            references.
    """

    def __init__(self, sweep: Sweep, dataset: Dataset, store: Store | None) -> None:
        self.sweep, self.dataset, self.store = sweep, dataset, store
        self.split_name = _tuning_split(sweep, dataset)
        whole = dataset.split(self.split_name)
        if sweep.answer_measures:
            for name in (self.split_name, sweep.split("test") or "test"):
                _check_references(dataset.split(name), name, sweep.answer_measures[0])
        order = np.random.default_rng([sweep.seed, 1]).permutation(len(whole.queries))
        n_fresh = round(len(order) * sweep.fresh) if sweep.retest else 0
        if sweep.retest and not 0 < n_fresh < len(order):
            raise DataError(
                f"split '{self.split_name}' has {len(order)} queries: too few to set aside {sweep.fresh:g} of them"
            )
        self.fresh = _subset(whole, sorted(order[:n_fresh].tolist()))
        remaining = order[n_fresh:]
        # Without early stopping, keep the order of the split, as `rag eval` does.
        self.split = _subset(whole, remaining.tolist() if sweep.early_stopping else sorted(remaining.tolist()))
        self.parsed = with_training(parse_measures(sweep.measures), dataset) if sweep.measures else []
        check_qrels(self.parsed, whole.qrels)

    @property
    def queries(self) -> Sequence[str]:
        """Ids of the tuning queries, in the order of :attr:`Measured.values`."""
        return [query.id for query in self.split.queries]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the tuning data: the number of documents, the queries and their judgments."""
        judged = {query.id: dict(self.split.qrels[query.id]) for query in self.split.queries}
        queries = [[query.id, query.text] for query in self.split.queries]
        if self.sweep.answer_measures:
            queries += [[*(references_of(query, self.split.qrels[query.id]) or ())] for query in self.split.queries]
        return fingerprint([self.dataset.name, len(self.dataset.corpus), queries, judged])

    @cached_property
    def content(self) -> dict[str, str]:
        """Identity of the other data: the documents, and the training data."""
        training = self.dataset.training(self.split_name)
        learned = ""
        if training is not None:
            judged = {id: dict(grades) for id, grades in training.qrels.items()}
            learned = fingerprint([[[query.id, query.text] for query in training.queries], judged])
        return {"documents": documents_fingerprint(read_corpus(self.dataset.corpus)), "training": learned}

    @cached_property
    def looks(self) -> int:
        """Number of points at which a trial may be stopped."""
        return max(1, len(blocks(len(self.split.queries))) - 1)

    def measure(self, pipeline: Pipeline, judge: Judge | None = None) -> Measured:
        """Fit a configuration and search the tuning queries.

        Args:
            pipeline: The configuration.
            judge: Called after each block of queries to decide whether to stop.
        """
        return self._measure(pipeline, self._parts(pipeline, self.split, self.split_name), judge)

    def measure_fresh(self, pipeline: Pipeline) -> Measured:
        """Measure a configuration on the queries set aside."""
        training = self.dataset.training(self.split_name)
        if training is None and _learns(pipeline):
            training = self.split.training
        return self._measure(pipeline, [_Part(self.fresh, training)], None)

    def _parts(self, pipeline: Pipeline, split: Split, name: str) -> list[_Part]:
        training = self.dataset.training(name)
        if training is not None or name != "train" or not _learns(pipeline):
            return [_Part(split, training)]
        folds = np.array_split(
            np.random.default_rng([self.sweep.seed, 2]).permutation(len(split.queries)), self.sweep.folds
        )
        parts = []
        for fold in folds:
            inside = set(fold.tolist())
            rest = _subset(split, [n for n in range(len(split.queries)) if n not in inside])
            parts.append(_Part(_subset(split, sorted(inside)), rest.training))
        return parts

    def _measure(self, pipeline: Pipeline, parts: Sequence[_Part], judge: Judge | None) -> Measured:
        if self.sweep.answer_measures and not any(stage.writes_answers for stage in pipeline.stages):
            raise ConfigError(
                f"{self.sweep.answer_measures[0]} needs a stage that writes answers, such as generate",
                parameter="stages",
            )
        start = time.perf_counter()
        measured, spent, by_query = Measured(), Costs(), dict[str, dict[str, float]]()
        metrics = set(self.sweep.metrics)
        n_all = sum(len(part.split.queries) for part in parts)
        for index, part in enumerate(parts):
            pipeline.fit(self.dataset.corpus, training=part.training, seed=self.sweep.seed, store=self.store)
            measured.reused += pipeline.reused
            measured.alone += pipeline.fit_costs.total.seconds
            _count(measured, pipeline.fit_costs, "fit")
            measured.check_calls(self.sweep.max_failed)  # before the queries cost anything
            if not index:
                measured.metrics |= self._once(pipeline, part, metrics)
            for queries in _blocks(part.split, judge is not None and len(parts) == 1):
                costs = self._search(pipeline, _subset_of(part.split, queries), by_query, measured)
                spent += costs
                measured.alone += costs.seconds
                n = len(by_query)
                measured.metrics |= {name: value / n for name, value in spent.as_dict().items() if name != "seconds"}
                measured.metrics["search_ms"] = spent.seconds / n * 1e3
                ids = [id for id in (self.queries if part.split is not self.fresh else by_query) if id in by_query]
                names = [*map(str, self.parsed), *self.sweep.answer_measures]
                measured.values = {name: np.array([by_query[id][name] for id in ids]) for name in names}
                measured.metrics |= {name: float(values.mean()) for name, values in measured.values.items()}
                if judge is not None and LEAST <= n < n_all and judge(measured):
                    measured.stopped = True
                    return _finished(measured, start, self.sweep)
        return _finished(measured, start, self.sweep)

    def _once(self, pipeline: Pipeline, part: _Part, metrics: set[str]) -> dict[str, float]:
        """Metrics that do not depend on single queries."""
        values = {}
        if metrics & {"latency_p50_ms", "latency_p95_ms"}:
            seconds = time_alone(pipeline, part.split.queries, seed=self.sweep.seed, store=self.store)
            values["latency_p50_ms"] = float(np.percentile(seconds, 50) * 1e3)
            values["latency_p95_ms"] = float(np.percentile(seconds, 95) * 1e3)
        if "index_bytes" in metrics:
            values["index_bytes"] = float(index_bytes(pipeline))
        return {name: value for name, value in values.items() if name in metrics}

    def _search(
        self, pipeline: Pipeline, split: Split, by_query: dict[str, dict[str, float]], measured: Measured
    ) -> Costs:
        spent = Costs()
        for searched in search_split(
            pipeline,
            split.queries,
            store=self.store,
            answer=bool(self.sweep.answer_measures),
            ignore_identical_ids=self.sweep.ignore_identical_ids,
        ):
            batch, queries = searched.batch, searched.queries
            if self.sweep.answer_measures:
                _check_answers(batch)
            run = as_run(queries, searched.candidates, pipeline.corpus)
            qrels = {query.id: split.qrels[query.id] for query in queries}
            for query in queries:
                answer, references = batch.answer_to(query), references_of(query, qrels[query.id])
                by_query[query.id] = against_references(answer, references) if answer and references is not None else {}
            if self.parsed:
                for measure, values in per_query(self.parsed, qrels, run).items():
                    for id, value in values.items():
                        by_query[id][measure] = value
            spent += batch.ledger.total
            _count(measured, batch.ledger, "search")
        return spent


def _count(measured: Measured, ledger: Ledger, phase: str) -> None:
    for (step, model), calls in ledger.calls.items():
        stage = f"{phase} {step}"
        measured.calls.setdefault((stage, model), Calls(model, stage, is_model=calls.is_model)).join(calls)


def _finished(measured: Measured, start: float, sweep: Sweep) -> Measured:
    measured.check_calls(sweep.max_failed)
    measured.seconds = time.perf_counter() - start
    measured.alone = max(measured.alone, measured.seconds)  # judging and bookkeeping take time either way
    return measured


def index_bytes(pipeline: Pipeline) -> int:
    """Size on disk of all fitted parts, without documents."""
    with tempfile.TemporaryDirectory() as folder:
        for index, (_, component) in enumerate(pipeline.spec.walk()):
            part_folder = Path(folder) / str(index)
            part_folder.mkdir()
            component.save_state(part_folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _tuning_split(sweep: Sweep, dataset: Dataset) -> str:
    asked = sweep.split("tune")
    test = sweep.split("test") or "test"
    if asked is not None:
        if asked == test:
            raise DataError(f"the sweep tunes and tests on one split, '{asked}': its result would be meaningless")
        dataset.split(asked)
        return asked
    for name in ("dev", "train"):
        if name in dataset.splits and dataset.splits[name].queries:
            return name
    raise DataError(
        f"dataset '{dataset.name}' has no split to tune on (dev, or train), only {', '.join(dataset.splits)}: "
        "split its judgments (rag datasets split), and name the parts in 'splits' if they are called otherwise"
    )


def _check_references(split: Split, name: str, measure: str) -> None:
    lacking = [query.id for query in split.queries if references_of(query, split.qrels[query.id]) is None]
    if lacking:
        raise DataError(
            f"{measure} compares with references: {len(lacking)} of {len(split.queries)} queries of split '{name}' "
            f"have none ('answers' or 'answer' in the metadata), such as '{lacking[0]}'"
        )


def _check_answers(batch: QueryBatch) -> None:
    """Raise if no answer was written: an unreachable server says nothing about a configuration, so its trial fails."""
    answers = [batch.answer_to(query) for query in batch.queries]
    problems = [answer.problem for answer in answers if answer is not None and answer.problem]
    if len(problems) == len(answers):
        raise IncompleteError(f"none of {len(answers)} queries was answered: {problems[0]}")


def _learns(pipeline: Pipeline) -> bool:
    return any("training" in part.needs for _, part in pipeline.spec.walk())


def _subset(split: Split, places: Sequence[int]) -> Split:
    queries = [split.queries[n] for n in places]
    return Split(queries, {query.id: split.qrels[query.id] for query in queries})


def _subset_of(split: Split, places: range) -> Split:
    return split if len(places) == len(split.queries) else _subset(split, places)


def _blocks(split: Split, growing: bool) -> Iterator[range]:
    first = 0
    for end in blocks(len(split.queries)) if growing else [len(split.queries)]:
        yield range(first, end)
        first = end
