"""Measuring one configuration on the tuning queries."""

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
    """What is known of a configuration.

    Args:
        values: Value of each query by measure, in the order of :attr:`Bench.queries`; of all, or of those that were
            searched before it was stopped.
        metrics: Every metric of the sweep, and what searching costs a query; means are over the queries searched.
        seconds: Wall time.
        alone: Seconds it would have taken without the store: what was found is counted with what making it has cost.
        reused: What came from the store.
        stopped: Whether it was stopped early.
        calls: Texts that were asked of language models, by model and step, for documents (``fit``) or queries
            (``search``).
    """

    values: dict[str, Floats] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    alone: float = 0.0
    reused: tuple[str, ...] = ()
    stopped: bool = False
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)

    def check_calls(self, max_failed: float) -> None:
        """Refuse what was measured without too many of its texts.

        Args:
            max_failed: Share of the texts of any one model in one step that may be missing, in [0, 1].

        Raises:
            IncompleteError: More are missing.
        """
        problem = too_many_failed(self.calls.values(), max_failed)
        if problem is not None:
            raise IncompleteError(problem)


Judge = Callable[[Measured], bool]
"""Says whether a trial need not go on."""


@dataclass(frozen=True)
class _Part:
    """Queries measured with one fitted pipeline, and what that one learns from."""

    split: Split
    training: Training | None


class Bench:
    """The tuning queries, and measuring on them.

    Args:
        sweep: Says what is measured.
        dataset: Documents and judged queries.
        store: Where what is computed is kept and found again.

    Raises:
        DataError: There is no split to tune on, or no query in it; or answers are measured, and a query has none to
            compare with.
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
        kept = order[n_fresh:]
        # Without early stopping the order of the split is kept, as `rag eval` has it.
        self.split = _subset(whole, kept.tolist() if sweep.early_stopping else sorted(kept.tolist()))
        self.parsed = parse_measures(sweep.measures) if sweep.measures else []
        check_qrels(self.parsed, whole.qrels)

    @property
    def queries(self) -> Sequence[str]:
        """Ids of the tuning queries, in the order of :attr:`Measured.values`."""
        return [query.id for query in self.split.queries]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of what is tuned on: the documents' number, the queries and their judgments."""
        judged = {query.id: dict(self.split.qrels[query.id]) for query in self.split.queries}
        queries = [[query.id, query.text] for query in self.split.queries]
        if self.sweep.answer_measures:
            queries += [[*(references_of(one, self.split.qrels[one.id]) or ())] for one in self.split.queries]
        return fingerprint([self.dataset.name, len(self.dataset.corpus), queries, judged])

    @cached_property
    def content(self) -> dict[str, str]:
        """Identity of what trials work on besides the tuning queries: the documents, and what is learned from."""
        training = self.dataset.training(self.split_name)
        learned = ""
        if training is not None:
            judged = {id: dict(grades) for id, grades in training.qrels.items()}
            learned = fingerprint([[[query.id, query.text] for query in training.queries], judged])
        return {"documents": documents_fingerprint(read_corpus(self.dataset.corpus)), "training": learned}

    @cached_property
    def looks(self) -> int:
        """How often a trial may be stopped."""
        return max(1, len(blocks(len(self.split.queries))) - 1)

    def measure(self, pipeline: Pipeline, judge: Judge | None = None) -> Measured:
        """Fit a configuration and search the tuning queries.

        Args:
            pipeline: The configuration.
            judge: Asked after each block of queries whether to stop.
        """
        return self._measure(pipeline, self._parts(pipeline, self.split, self.split_name), judge)

    def measure_fresh(self, pipeline: Pipeline) -> Measured:
        """The same on the queries set aside."""
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
        found = []
        for fold in folds:
            inside = set(fold.tolist())
            rest = _subset(split, [n for n in range(len(split.queries)) if n not in inside])
            found.append(_Part(_subset(split, sorted(inside)), rest.training))
        return found

    def _measure(self, pipeline: Pipeline, parts: Sequence[_Part], judge: Judge | None) -> Measured:
        if self.sweep.answer_measures and not any(stage.writes_answers for stage in pipeline.stages):
            raise ConfigError(
                f"{self.sweep.answer_measures[0]} needs a stage that writes answers, such as generate",
                parameter="stages",
            )
        start = time.perf_counter()
        found, spent, by_query = Measured(), Costs(), dict[str, dict[str, float]]()
        wanted = set(self.sweep.metrics)
        n_all = sum(len(part.split.queries) for part in parts)
        for number, part in enumerate(parts):
            pipeline.fit(self.dataset.corpus, training=part.training, seed=self.sweep.seed, store=self.store)
            found.reused += pipeline.reused
            found.alone += pipeline.fit_costs.total.seconds
            _count(found, pipeline.fit_costs, "fit")
            found.check_calls(self.sweep.max_failed)  # before anything is paid for the queries
            if not number:
                found.metrics |= self._once(pipeline, part, wanted)
            for queries in _blocks(part.split, judge is not None and len(parts) == 1):
                costs = self._search(pipeline, _subset_of(part.split, queries), by_query, found)
                spent += costs
                found.alone += costs.seconds
                n = len(by_query)
                found.metrics |= {name: value / n for name, value in spent.as_dict().items() if name != "seconds"}
                found.metrics["search_ms"] = spent.seconds / n * 1e3
                ids = [id for id in (self.queries if part.split is not self.fresh else by_query) if id in by_query]
                names = [*map(str, self.parsed), *self.sweep.answer_measures]
                found.values = {name: np.array([by_query[id][name] for id in ids]) for name in names}
                found.metrics |= {name: float(values.mean()) for name, values in found.values.items()}
                if judge is not None and LEAST <= n < n_all and judge(found):
                    found.stopped = True
                    return _finished(found, start, self.sweep)
        return _finished(found, start, self.sweep)

    def _once(self, pipeline: Pipeline, part: _Part, wanted: set[str]) -> dict[str, float]:
        """What hangs on no particular query."""
        found = {}
        if wanted & {"latency_p50_ms", "latency_p95_ms"}:
            seconds = time_alone(pipeline, part.split.queries, seed=self.sweep.seed, store=self.store)
            found["latency_p50_ms"] = float(np.percentile(seconds, 50) * 1e3)
            found["latency_p95_ms"] = float(np.percentile(seconds, 95) * 1e3)
        if "index_bytes" in wanted:
            found["index_bytes"] = float(index_bytes(pipeline))
        return {name: value for name, value in found.items() if name in wanted}

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


def _count(found: Measured, ledger: Ledger, phase: str) -> None:
    for (step, model), calls in ledger.calls.items():
        stage = f"{phase} {step}"
        found.calls.setdefault((stage, model), Calls(model, stage, is_model=calls.is_model)).join(calls)


def _finished(found: Measured, start: float, sweep: Sweep) -> Measured:
    found.check_calls(sweep.max_failed)
    found.seconds = time.perf_counter() - start
    found.alone = max(found.alone, found.seconds)  # judging and bookkeeping would be no less
    return found


def index_bytes(pipeline: Pipeline) -> int:
    """Size on disk of what fitting has built; documents not counted."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (_, component) in enumerate(pipeline.spec.walk()):
            place = Path(folder) / str(number)
            place.mkdir()
            component.save_state(place)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _tuning_split(sweep: Sweep, dataset: Dataset) -> str:
    asked = sweep.split("tune")
    test = sweep.split("test") or "test"
    if asked is not None:
        if asked == test:
            raise DataError(f"the sweep tunes and tests on one split, '{asked}': its result would say nothing")
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
    """A server that is gone says nothing about a configuration: its trial fails at once, instead of asking for more."""
    answers = [batch.answer_to(query) for query in batch.queries]
    problems = [one.problem for one in answers if one is not None and one.problem]
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
