"""What a sweep would compute, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.space import Point
from hpo.sweep import Sweep
from rag.embedders.base import Embedder
from rag.errors import ConfigError
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint

__all__ = ["Plan", "plan"]

_SAMPLE = 2_000
"""Points looked at in a space with more."""


@dataclass(frozen=True)
class Plan:
    """The size of a space and of a sweep in it.

    Args:
        n_points: Configurations in the space; None when they are endless, or too many to list.
        n_trials: Configurations that would be tried.
        steps: By step of the pipeline: how often the trials need what it makes, and how many different ones there are,
            were the trials drawn at random. What is not different is computed once.
        refused: Configurations that a component refuses, with the reason of the first.
    """

    n_points: int | None
    n_trials: int
    steps: dict[str, tuple[int, int]]
    refused: tuple[int, str] = (0, "")

    @property
    def alone(self) -> int:
        """Steps computed without sharing."""
        return sum(needed for needed, _ in self.steps.values())

    @property
    def shared(self) -> int:
        """Steps computed with sharing."""
        return sum(distinct for _, distinct in self.steps.values())


def plan(sweep: Sweep) -> Plan:
    """Count what the trials of a sweep have in common: the whole space when it is small enough, else as many points at
    random as there are trials.
    """
    points = sweep.space.points
    rng = np.random.default_rng(sweep.seed)
    drawn: Sequence[Point]
    if points is not None and len(points) <= sweep.n_trials:
        drawn = points
    elif points is not None:
        drawn = [points[n] for n in rng.permutation(len(points))[: min(sweep.n_trials, _SAMPLE)]]
    else:
        found = (sweep.space.draw(rng) for _ in range(min(sweep.n_trials, _SAMPLE)))
        drawn = [point for point in found if point is not None]
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
    steps = {step: (len(keys), len(set(keys))) for step, keys in made.items()}
    return Plan(None if points is None else len(points), len(drawn), steps, (refused, reason))


def _artifacts(pipeline: Pipeline) -> list[tuple[str, str]]:
    """What a pipeline needs, step by step, each under an identity that contains what it is made from."""
    chunks = pipeline.chunker.fingerprint
    tokens = next((one.fingerprint for _, one in pipeline.walk() if isinstance(one, Embedder) and one.has_tokens), "")
    if pipeline.chunker.needs_tokenizer:
        chunks = fingerprint([chunks, tokens])
    found = [("passages", chunks)]
    embedders = {one.fingerprint for _, one in pipeline.retriever.walk() if isinstance(one, Embedder)}
    found += [("vectors", fingerprint([chunks, one])) for one in sorted(embedders)]
    found += [
        ("indexes and other fitted parts", fingerprint([chunks, one.fingerprint, _below(parent)]))
        for parent, one in _pairs(pipeline.retriever)
        if one.keeps_state
    ]
    before: Any = chunks
    for name, step in pipeline._steps():
        before = fingerprint([before, step.fingerprint])
        found.append((f"candidates after {name.split()[0]}", before))
    return found


def _pairs(component: Any) -> list[tuple[Any, Any]]:
    """Components with the one that holds them."""
    found: list[tuple[Any, Any]] = [(component, component)]
    stack = [component]
    while stack:
        parent = stack.pop()
        for _, child in parent.children():
            found.append((parent, child))
            stack.append(child)
    return found


def _below(parent: Any) -> list[str]:
    """The embedders that an index beside them is built from."""
    return sorted(one.fingerprint for _, one in parent.children() if isinstance(one, Embedder))
