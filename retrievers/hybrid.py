"""Several retrievers, fused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.component import Tunable
from rag.errors import ConfigError
from rag.retrievers.asked_again import Recipe, TakesFeedback
from rag.retrievers.fusion.base import Contributes, Fusion
from rag.retrievers.fusion.z_score import ZScore
from rag.stage import Retriever
from rag.tables import grouped

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Hybrid"]

_FILE = "scaling.json"


class Hybrid(TakesFeedback):
    """Asks every retriever and fuses their lists into one: a document's score is the weighted sum over the lists.

    Each retriever's own ``top_k`` says how deep its list goes; a list of ``bm25`` that has room left is scaled as if it
    went on with score 0, which is what documents without a common word have. A document's passage is the one of the
    list that contributes most to its score.

    Args:
        retrievers: At least two.
        fusion: How scores of different scales are brought together. The default was best on four of five sets
            (benchmarks/README.md); ``rrf`` was the default before, and needs no scores that mean anything.
        weights: One number per retriever, at least one above 0; None weighs all alike. A retriever of weight 0 is not
            asked.
        top_k: Documents returned.
    """

    type = "hybrid"
    _state_version = 2  # lists with room left are scaled from 0

    def __init__(
        self,
        *,
        retrievers: Annotated[Sequence[Retriever], Field(min_length=2)],
        fusion: Annotated[Fusion, Tunable(choices=("min_max", "z_score", "rrf"), gain=0.02)] = ZScore(),  # noqa: B008 - a default component is cloned for each instance
        weights: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2)] | None = None,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        if weights is not None and len(weights) != len(retrievers):
            raise ConfigError(
                f"must have one number per retriever ({len(retrievers)}), got {len(weights)}", parameter="weights"
            )
        if weights is not None and not any(weights):
            raise ConfigError("at least one weight must be above 0", parameter="weights")
        self.retrievers = list(retrievers)
        self.fusion = fusion
        self.weights = weights
        self.top_k = top_k
        self._from_zero = True

    @property
    def _caches_state(self) -> bool:
        return False

    def save_state(self, folder: Path) -> None:
        (folder / _FILE).write_text(json.dumps({"from_zero": self._from_zero}), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        """An index from before there was a state scales lists as they are, and so answers as it did."""
        file = folder / _FILE
        self._from_zero = file.is_file() and bool(json.loads(file.read_text(encoding="utf-8"))["from_zero"])

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        if self.fusion.weighs:
            if context.training is None:
                raise ConfigError(
                    f"the fusion {self.fusion.spec.label} learns from judged training queries: none were given"
                )
            batch = context.training_batch()
            lists = [retriever.scaled_by(batch.found_by(retriever)) for retriever in self.retrievers]
            self.fusion.learn(lists, context)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        for _, child in self.spec.children():
            context.fit(child)

    def retrieve(self, batch: QueryBatch) -> Candidates:
        return self._fused(batch, lambda part, retriever: part.found_by(retriever))

    def retrieve_again(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Candidates:
        def again(part: QueryBatch, retriever: Retriever) -> Candidates:
            if isinstance(retriever, TakesFeedback):
                return retriever.retrieve_again(part, trusted, recipe)
            return part.found_by(retriever)

        return self._fused(batch, again)

    def scores_again(
        self, batch: QueryBatch, trusted: Candidates, recipe: Recipe, candidates: Candidates
    ) -> Mapping[str, Floats]:
        again: dict[str, Floats] = {}
        for n, retriever in enumerate(self.retrievers):
            if isinstance(retriever, TakesFeedback):
                scores = retriever.scores_again(batch, trusted, recipe, candidates)
                again |= {f"{n} {name}": values for name, values in scores.items()}
        return again

    def _fused(self, batch: QueryBatch, ask: Callable[[QueryBatch, Retriever], Candidates]) -> Candidates:
        tables, weights, scaled, parts = [], [], [], []
        for n, retriever in enumerate(self.retrievers):
            weight = 1.0 if self.weights is None else self.weights[n]
            if weight:
                part = batch.for_part(n, retriever.type)
                tables.append(ask(part, retriever))
                weights.append(weight)
                scaled.append(retriever.scaled_by(tables[-1]) if self._from_zero else tables[-1])
                parts.append(self.fusion.for_list(n))
                part.record(part.step.name, tables[-1])
        return fuse(tables, weights, self.fusion, self.top_k, scaled=scaled, parts=parts)


def fuse(
    tables: Sequence[Candidates],
    weights: Sequence[float],
    fusion: Fusion,
    top_k: int,
    *,
    scaled: Sequence[Candidates] | None = None,
    parts: Sequence[Contributes] | None = None,
) -> Candidates:
    """Add up each document's weighted contributions over the lists; a list without it adds what the fusion says.

    Args:
        tables: The lists.
        weights: One for each.
        fusion: Says what a list contributes.
        top_k: Documents returned.
        parts: What says so for each list, where they differ.
        scaled: The lists as :meth:`~rag.stage.Retriever.scaled_by` has them, if they differ.
    """
    n = len(tables[0])
    rows, positions, passages, gains = [], [], [], []
    baseline = np.zeros(n)
    fusions = parts or [fusion] * len(tables)
    for table, weight, seen, part in zip(tables, weights, scaled or tables, fusions, strict=True):
        values, missing = part.contributions(seen)
        row, column = np.nonzero(table.mask)
        rows.append(row)
        positions.append(table.documents[row, column])
        passages.append(table.passages[row, column])
        gains.append(weight * (values[row, column] - missing[row]))
        baseline += weight * missing
    row, position, passage = np.concatenate(rows), np.concatenate(positions), np.concatenate(passages)
    gain = np.concatenate(gains)
    if not len(row):
        return Candidates.empty(n)
    # Group by (query, document); within a group the largest gain comes first and gives the passage.
    order, starts = grouped(row, position, -gain)
    best = order[starts]
    row, position, passage = row[best], position[best], passage[best]
    total = np.add.reduceat(gain[order], starts) + baseline[row]
    return Candidates.from_rows(n, row, position, total, passage, top_k=top_k)
