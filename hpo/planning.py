"""The plan of a sweep: the computations it would need and share, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.arguments import refuses_unknown
from rag.display import Part, Shown, Table, count
from rag.embedders.base import Embedder
from rag.errors import ConfigError
from rag.eval.datasets.base import Dataset
from rag.hpo.execution.trial import Bench
from rag.hpo.space.point import Point
from rag.hpo.sweep import Sweep
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint

__all__ = ["Plan", "plan"]

_SAMPLE = 2_000
"""Points sampled in a space with more."""
_DOCUMENTS = 100
"""Documents chunked to estimate the number of passages."""


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """The size of a space and of a sweep in it.

    Args:
        n_points: Number of configurations in the space; None when infinite, or too many to list.
        n_trials: Configurations that would be tried.
        steps: By step of the pipeline: the number of trials that need its output, and the number of distinct outputs,
            for trials drawn at random. Equal outputs are computed once.
        refused: Number of configurations that a component refuses, with the first reason.
        work: The same in texts, queries, answers and pairs, estimated for a dataset; empty without one. Pairs to score
            are an upper bound: there may be fewer candidates than the budget, and different lists share passages. So
            are answers: equal passages give equal answers.
    """

    n_points: int | None
    n_trials: int
    steps: dict[str, tuple[int, int]]
    refused: tuple[int, str] = (0, "")
    work: dict[str, tuple[int, int]] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        points = "more than can be listed" if self.n_points is None else f"{self.n_points:,}"
        lines = [f"{name}: {needed:,} needed, {distinct:,} distinct" for name, (needed, distinct) in self.work.items()]
        refused = [f"{self.refused[0]:,} refused: {self.refused[1]}"] if self.refused[0] else []
        return [f"Plan: {count(self.n_trials, 'trial')} of {points} configurations", *refused, *lines]

    def _details(self) -> list[Part]:
        rows = [[name, needed, distinct] for name, (needed, distinct) in (self.steps | self.work).items()]
        return [Table(["step", "needed", "distinct"], rows)]


@refuses_unknown
def plan(sweep: Sweep, dataset: Dataset | None = None) -> Plan:
    """Count the work that trials of a sweep share: over the whole space if it is small enough, else over as many random
    points as there are trials. Nothing is embedded or searched; a sample of the dataset is chunked.

    Raises:
        DataError: The dataset has no queries to tune on.
    """
    counter = None if dataset is None else _Work(Bench(sweep, dataset, None))
    points = sweep.space.points
    rng = np.random.default_rng(sweep.seed)
    drawn: Sequence[Point]
    if points is not None and len(points) <= sweep.n_trials:
        drawn = points
    elif points is not None:
        drawn = [points[n] for n in rng.permutation(len(points))[: min(sweep.n_trials, _SAMPLE)]]
    else:
        points_drawn = (sweep.space.draw(rng) for _ in range(min(sweep.n_trials, _SAMPLE)))
        drawn = [point for point in points_drawn if point is not None]
    made: dict[str, list[str]] = {}
    refused, reason = 0, ""
    for point in drawn:
        try:
            pipeline = sweep.space.pipeline(point)
        except ConfigError as error:
            refused, reason = refused + 1, reason or error.mistakes[0].message
            continue
        for step, key in _artifacts(pipeline):
            made.setdefault(step, []).append(key)
        if counter is not None:
            counter.add(pipeline)
    steps = {step: (len(keys), len(set(keys))) for step, keys in made.items()}
    n_points = None if points is None else len(points)
    return Plan(n_points, len(drawn), steps, (refused, reason), counter.work if counter else {})


class _Work:
    """Sums up the work of pipelines on a dataset, with and without sharing."""

    def __init__(self, bench: Bench) -> None:
        corpus = bench.dataset.corpus
        self.n_documents, self.n_queries = len(corpus), len(bench.queries)
        self.answered = bool(bench.sweep.answer_measures)
        rows = np.random.default_rng(0).permutation(self.n_documents)[:_DOCUMENTS]
        self.sample = corpus.rows(rows)
        self._passages: dict[str, int] = {}
        self._needed: dict[str, int] = {}
        self._distinct: dict[str, dict[str, int]] = {}

    def add(self, pipeline: Pipeline) -> None:
        steps = dict.fromkeys(key for step, key in _artifacts(pipeline) if step == "vectors")
        chunks = _chunks(pipeline)
        if chunks not in self._passages:
            cut = pipeline.chunker.chunk(self.sample, pipeline.tokenizer(self.sample))
            share = len(cut) / max(1, len(self.sample))
            self._passages[chunks] = round(share * self.n_documents)
        for key in steps:
            self._count("texts embedded", key, self._passages[chunks])
        *_, last = (key for step, key in _artifacts(pipeline) if step.startswith("candidates"))
        self._count("queries searched", last, self.n_queries)
        if self.answered and any(stage.writes_answers for stage in pipeline.stages):
            self._count("answers written, at most", last, self.n_queries)
        for stage in pipeline.stages:
            if stage.spends:
                scorer, budget = stage.spends
                key = fingerprint([chunks, pipeline.retriever.fingerprint, scorer.fingerprint])
                self._count("pairs scored, at most", key, budget * self.n_queries)

    def _count(self, work: str, key: str, n: int) -> None:
        self._needed[work] = self._needed.get(work, 0) + n
        largest = self._distinct.setdefault(work, {})
        largest[key] = max(largest.get(key, 0), n)  # the larger budget includes the pairs of the smaller one

    @property
    def work(self) -> dict[str, tuple[int, int]]:
        return {work: (n, sum(self._distinct[work].values())) for work, n in self._needed.items()}


def _chunks(pipeline: Pipeline) -> str:
    """Identity of the passages."""
    if not pipeline.chunker.needs_tokenizer:
        return pipeline.chunker.fingerprint
    tokens = next(
        (part.fingerprint for _, part in pipeline.spec.walk() if isinstance(part, Embedder) and part.has_tokens), ""
    )
    return fingerprint([pipeline.chunker.fingerprint, tokens])


def _artifacts(pipeline: Pipeline) -> list[tuple[str, str]]:
    """The artifacts of a pipeline, step by step, each with an identity that includes its inputs."""
    chunks = _chunks(pipeline)
    artifacts = [("passages", chunks)]
    embedders = {part.fingerprint for _, part in pipeline.retriever.spec.walk() if isinstance(part, Embedder)}
    artifacts += [("vectors", fingerprint([chunks, key])) for key in sorted(embedders)]
    artifacts += [
        ("indexes and other fitted parts", fingerprint([chunks, part.fingerprint, _below(parent)]))
        for parent, part in _pairs(pipeline.retriever)
        if part.spec.caches_state
    ]
    before: Any = chunks
    for step, component in pipeline.steps:
        before = fingerprint([before, component.fingerprint])
        artifacts.append((f"candidates after {step.path}", before))
    return artifacts


def _pairs(component: Any) -> list[tuple[Any, Any]]:
    """Components with their parent component."""
    pairs: list[tuple[Any, Any]] = [(component, component)]
    stack = [component]
    while stack:
        parent = stack.pop()
        for _, child in parent.spec.children():
            pairs.append((parent, child))
            stack.append(child)
    return pairs


def _below(parent: Any) -> list[str]:
    """Fingerprints of the embedders beside an index, from which it is built."""
    return sorted(part.fingerprint for _, part in parent.spec.children() if isinstance(part, Embedder))
