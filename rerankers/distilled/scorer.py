"""A scorer taught by a slower one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints, Vectors
from rag.component import Inherited
from rag.component.inheritance import given
from rag.embedders.base import Embedder
from rag.errors import ConfigError, DataError, NotFittedError
from rag.learning.gains import Gains
from rag.learning.reports import ReportsLearning
from rag.rerankers.base import Scorer
from rag.rerankers.distilled.head import Head, Lists, Loss, learn_head

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["DistilledScorer"]

_LEAST = 20
"""Training queries with candidates, below which nothing is learned."""


class DistilledScorer(Scorer, ReportsLearning):
    """Experimental (no better than a hybrid where it was measured): learns a teacher's scores of the training queries'
    candidates by a low-rank inner product on frozen vectors, those of a dense retriever with the same embedder. A pair
    then costs microseconds; the teacher is called no more.

    The teacher's scores are kept in the store, where it keeps them; with judgments, ``pld`` puts relevant documents
    before the teacher's order. Needs torch for fitting.

    Args:
        scorer: The teacher.
        embedder: Gives the vectors; the retriever's, when none is given.
        loss: ``pld``, ``listwise`` or ``margin_mse``.
        rank: Dimensions that are learned beside the cosine.
        depth: Candidates of each training query that the teacher scores.
        max_queries: Training queries, at most: the price of learning is ``depth * max_queries`` calls of the teacher.
        epochs: Passes over them, at most; training stops when the loss on queries held out no longer falls.
        learning_rate: Learning rate of AdamW.
    """

    type = "distilled"
    keeps_scores = False
    needs = frozenset({"corpus", "training", "candidates"})
    _libraries = ("torch",)

    def __init__(
        self,
        *,
        scorer: Scorer,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        loss: Loss = "pld",
        rank: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=2)] = 20,
        max_queries: Annotated[int, Field(ge=20)] = 500,
        epochs: Annotated[int, Field(ge=1)] = 60,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
    ) -> None:
        self.scorer = scorer
        self.embedder = embedder
        self.loss: Loss = loss
        self.rank = rank
        self.depth = depth
        self.max_queries = max_queries
        self.epochs = epochs
        self.learning_rate = learning_rate
        self._head: Head | None = None
        self._vectors: Vectors | None = None
        self._losses: list[float] = []

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        vectors = _unit(context.embed_passages(given(self.embedder, self)))
        lists = self._taught(context, vectors)
        self._head, self._losses = learn_head(
            lists,
            loss=self.loss,
            rank=self.rank,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            seed=context.seed,
            progress=context.progress,
        )
        self._vectors = self._head.of_passages(vectors).astype(np.float16)

    def _taught(self, context: FitContext, vectors: Vectors) -> Lists:
        """The candidates of training queries, and what the teacher says of them."""
        if context.training is None:
            raise ConfigError(f"{self.spec.label} learns from training queries: none were given")
        batch, candidates = context.training_run()
        usable = np.flatnonzero(candidates.counts >= 2)
        if len(usable) < _LEAST:
            raise DataError(
                f"{self.spec.label}: {len(usable)} of {len(batch)} training queries have candidates, and {_LEAST} are "
                "needed to learn"
            )
        rng = np.random.default_rng(context.seed)
        rows = np.sort(rng.permutation(usable)[: self.max_queries])
        batch = batch.view(rows=rows)
        head = candidates.rows(rows).head(self.depth)
        at, column = np.nonzero(head.mask)
        teacher = np.zeros(head.scores.shape, dtype=np.float32)
        teacher[at, column] = self.scorer.score(batch, at, head.passages[at, column])
        gains = Gains(batch.queries, context.training.qrels, context.corpus)
        queries = _unit(batch.embeddings(given(self.embedder, self)))
        passages = vectors[np.where(head.mask, head.passages, 0)]
        return Lists(queries, passages, teacher, gains.of(head) > 0, head.mask)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        embedder, (head, old) = given(self.embedder, self), self._fitted()
        for _, child in self.spec.children():
            context.fit(child)
        context.fit(embedder)
        new = old[:0]
        if len(kept) < len(context.passages):
            added = _unit(context.embed_passages(embedder, start=len(kept)))
            new = head.of_passages(added).astype(np.float16)
        self._vectors = np.concatenate([old[kept], new])
        self._passages = context.passages

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        head, vectors = self._fitted()
        queries = head.of_queries(_unit(batch.embeddings(given(self.embedder, self))))
        return np.asarray(np.einsum("nd,nd->n", queries[rows], vectors[passages], dtype=np.float32), dtype=np.float32)

    def learned_report(self) -> Mapping[str, Any]:
        """The loss on queries held out, before learning and at its least."""
        return {"loss_before": self._losses[0], "loss": min(self._losses), "epochs": len(self._losses) - 1}

    def notes(self) -> tuple[str, ...]:
        if not self._losses:
            return ()
        return (
            f"scorer distilled: {self.loss} on training queries held out {self._losses[0]:.4f} -> "
            f"{min(self._losses):.4f}; it has seen the training queries, so what learns behind it from them expects "
            "too much",
        )

    def save_state(self, folder: Path) -> None:
        head, vectors = self._fitted()
        np.savez(folder / "head.npz", scale=np.float64(head.scale), left=head.left, right=head.right)
        np.save(folder / "vectors.npy", vectors)
        (folder / "losses.json").write_text(json.dumps(self._losses), encoding="utf-8")

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        with np.load(Path(folder) / "head.npz") as saved:
            self._head = Head(float(saved["scale"]), saved["left"], saved["right"])
        self._vectors = np.load(Path(folder) / "vectors.npy", mmap_mode="r")
        self._losses = json.loads((Path(folder) / "losses.json").read_text(encoding="utf-8"))

    def _fitted(self) -> tuple[Head, Vectors]:
        if self._head is None or self._vectors is None:
            raise NotFittedError.of(self)
        return self._head, self._vectors


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
