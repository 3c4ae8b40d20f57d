"""``rag recommend``: which rung of a ladder of pipelines is worth its cost on a dataset."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.arguments import refuses_unknown
from rag.display import Interval, Part, Shown, Table
from rag.errors import ConfigError, DataError
from rag.eval.datasets.base import Dataset, Split
from rag.eval.evaluation import evaluate
from rag.eval.measures.interval import interval
from rag.eval.result import Evaluation
from rag.hpo.auto.bounds import sampled, too_late
from rag.hpo.auto.data import FOLDS, Facts, facts_of
from rag.hpo.auto.run import seconds_of
from rag.hpo.auto.rungs import Rung, rungs
from rag.hpo.execution.trial import Bench, index_bytes
from rag.hpo.objectives import ANSWERS, COSTS, parse_metric
from rag.hpo.results.choice import one_standard_error
from rag.hpo.sweep import sweep_from_config
from rag.models.names import packaged
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.store.store import Store

__all__ = ["Measured", "Recommendation", "recommend"]

_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_SIZES = (25, 50, 100, 300, 1000)
"""Judged questions of the learning curve, up to all there are."""


@dataclass(frozen=True)
class Measured:
    """A rung, measured.

    Args:
        name: Name of the rung.
        quality: Mean of the measure on the test questions.
        ci95: Its bootstrap interval.
        tuned: Mean on the tuning questions, by which rungs are compared; None where there are none.
        latency_ms: Median time of a question asked alone.
        fit_s: Seconds that building has cost, also where the store had it.
        scorer_calls: Pairs scored a question.
        index_bytes: Size of what fitting built.
        config: The pipeline.
    """

    name: str
    quality: float
    ci95: tuple[float, float] | None
    tuned: float | None
    latency_ms: float
    fit_s: float
    scorer_calls: float
    index_bytes: int
    config: Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Recommendation(Shown):
    """Result of :func:`recommend`.

    Args:
        dataset: Its name.
        measure: The measure that decides.
        rungs: Those measured, cheap ones first.
        choice: Name of the recommended one.
        compared_on: Split by which it was chosen.
        curve: Judged questions, mean, interval, of the richest pipeline that learns; empty without training questions.
        left_out: Why a rung was not measured, by name.
    """

    dataset: str
    measure: str
    rungs: tuple[Measured, ...]
    choice: str
    compared_on: str
    curve: tuple[tuple[int, float, tuple[float, float] | None], ...]
    left_out: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        from dataclasses import asdict

        return asdict(self)

    def _summary(self) -> list[str]:
        title = f"Recommendation for {self.dataset}: {self.choice}, by {self.measure} on {self.compared_on}"
        rungs = [f"{rung.name}: {rung.quality:.4f}, {rung.latency_ms:.1f} ms" for rung in self.rungs]
        return [title, *rungs]

    def _details(self) -> list[Part]:
        rows = [
            [
                rung.name,
                Interval(rung.quality, *(rung.ci95 or (None, None))),
                rung.latency_ms,
                rung.fit_s,
                rung.scorer_calls,
                "recommended" if rung.name == self.choice else None,
            ]
            for rung in self.rungs
        ]
        return [Table(["", self.measure, "ms a question", "seconds to build", "pairs scored", ""], rows)]

    @property
    def chosen(self) -> Measured:
        """The recommended rung."""
        return next(rung for rung in self.rungs if rung.name == self.choice)


@refuses_unknown
def recommend(
    dataset: Dataset,
    *,
    budget: str | float = "10m",
    encoder: str | Mapping[str, Any] | None = None,
    scorer: str | Mapping[str, Any] | None = None,
    objective: str = "nDCG@10",
    store: Store | None = None,
    progress: Progress = no_progress,
) -> Recommendation:
    """Measure a ladder of pipelines on a dataset, and say which rung is worth its cost: the first, cheapest one that is
    not worse than the best by more than one standard error of their difference, on the tuning questions. Figures are
    of the test questions.

    Args:
        dataset: Documents and judged questions.
        budget: Time after which no rung, and no point of the learning curve, is begun; the first is always measured.
            Nor is one whose passages would take longer to embed, and of many questions a sample is asked.
        encoder: A model of sentence-transformers, ``lsa``, or an embedder's configuration; None takes what the variable
            ``RAG_EMBEDDER`` names, else all-MiniLM-L6-v2, from the extra ``quickstart`` where that is installed.
        scorer: A cross-encoder, or a scorer's configuration, for a rung that reranks.
        objective: The measure that decides.
        store: Cache of results.
        progress: Shows how far it is.

    Raises:
        DataError: The dataset has no test questions.
        ConfigError: The budget or the measure cannot be read.
    """
    deadline = time.monotonic() + seconds_of(budget)
    measure = parse_metric(objective)
    if measure in COSTS or measure in ANSWERS:
        raise ConfigError(
            f"must be a measure of ranked lists, such as nDCG@10, got '{objective}'", parameter="objective"
        )
    dataset, asked = sampled(dataset)
    facts, reason = _facts(dataset)
    ladder = rungs(
        _encoder(encoder), _scorer(scorer), facts.n_learned if facts else 0, shared=bool(facts and facts.shared)
    )
    left_out = {step.name: step.reason for step in ladder if step.config is None} | asked
    todo = [step for step in ladder if step.config is not None]
    bench = _bench(dataset, facts, measure, store)
    measured: list[Measured] = []
    values: list[Any] = []
    embedded, late = False, ""
    with progress("measuring rungs", len(todo)) as advance:
        for rung in todo:
            if measured and time.monotonic() > deadline:
                left_out[rung.name] = "the budget was used up"
                continue
            if rung.embeds and not embedded:
                late = late or too_late(rung, dataset, deadline - time.monotonic(), store)
                if late:
                    left_out[rung.name] = late
                    continue
                embedded = True
            result, on = _measured(rung, dataset, measure, bench, store)
            measured.append(result)
            values.append(on)
            advance(1)
    chosen = one_standard_error(np.stack(values), np.arange(len(values), dtype=float))
    curve = () if late else _curve(todo, dataset, measure, deadline, store, left_out)
    on = facts.split if facts else f"test, since there is no other split ({reason})"
    return Recommendation(dataset.name, measure, tuple(measured), measured[chosen].name, on, curve, left_out)


def _facts(dataset: Dataset) -> tuple[Facts | None, str]:
    try:
        return facts_of(dataset), ""
    except DataError as error:
        return None, str(error)


def _encoder(encoder: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if isinstance(encoder, Mapping):
        return encoder
    name = encoder or os.environ.get("RAG_EMBEDDER") or packaged(_MODEL) or _MODEL
    return {"type": "lsa"} if name == "lsa" else {"type": "sentence_transformer", "model": name}


def _scorer(scorer: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {"type": "cross_encoder", "model": scorer} if isinstance(scorer, str) else scorer


def _bench(dataset: Dataset, facts: Facts | None, measure: str, store: Store | None) -> Bench | None:
    """Measures on the tuning questions, as sweeps do."""
    if facts is None:
        return None
    open_value = {"tune": "categorical", "choices": [100]}  # a sweep needs something open
    config = {"type": "pipeline", "retriever": {"type": "bm25", "top_k": open_value}}
    splits = {"tune": facts.split, "test": "test"}
    sweep = sweep_from_config({"pipeline": config, "objectives": [measure], "splits": splits, "folds": FOLDS})
    return Bench(sweep, dataset, store)


def _measured(
    rung: Rung, dataset: Dataset, measure: str, bench: Bench | None, store: Store | None
) -> tuple[Measured, Any]:
    assert rung.config is not None
    tuned = None if bench is None else bench.measure(Pipeline.from_config(rung.config)).values[measure]
    evaluation = _evaluated(rung.config, dataset, measure, store)
    own = evaluation.metrics["measures"][measure]
    costs = evaluation.metrics["costs"]
    result = Measured(
        rung.name,
        own["mean"],
        None if own["ci95"] is None else tuple(own["ci95"]),
        None if tuned is None else float(tuned.mean()),
        evaluation.metrics["latency_ms"]["p50"],
        sum(step["seconds"] for step in evaluation.metrics["fit"]),
        costs.get("scorer_calls", 0) / evaluation.metrics["n_queries"],
        index_bytes(evaluation.pipeline),
        evaluation.pipeline.spec.to_config(),
    )
    on = tuned if tuned is not None else np.array([evaluation.values[measure][q.id] for q in evaluation.split.queries])
    return result, on


def _evaluated(
    config: Mapping[str, Any], dataset: Dataset, measure: str, store: Store | None, *, timed: bool = True
) -> Evaluation:
    return evaluate(Pipeline.from_config(dict(config)), dataset, measures=[measure], store=store, timed=timed)


def _curve(
    todo: list[Rung], dataset: Dataset, measure: str, deadline: float, store: Store | None, left_out: dict[str, str]
) -> tuple[tuple[int, float, tuple[float, float] | None], ...]:
    """Quality of the pipeline that learns, by the number of judged questions; samples are nested."""
    learns = next((rung for rung in todo if rung.name == "+ learned rank"), None)
    if learns is None or learns.config is None:
        return ()
    train = dataset.split("train")
    order = np.random.default_rng(0).permutation(len(train.queries))
    sizes = [*(size for size in _SIZES if size < len(order)), len(order)]
    points: list[tuple[int, float, tuple[float, float] | None]] = []
    for size in sizes:
        if time.monotonic() > deadline:
            left_out[f"learning curve from {size} questions on"] = "the budget was used up"
            break
        queries = [train.queries[row] for row in sorted(order[:size].tolist())]
        part = Split(queries, {query.id: train.qrels[query.id] for query in queries})
        smaller = Dataset(dataset.name, dataset.corpus, {**dataset.splits, "train": part})
        evaluation = _evaluated(learns.config, smaller, measure, store, timed=False)
        values = np.array([evaluation.values[measure][query.id] for query in evaluation.split.queries])
        bounds = interval(values[:, None], seed=0)
        points.append((size, float(values.mean()), bounds[0] if bounds else None))
    return tuple(points)
