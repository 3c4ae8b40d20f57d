"""An embedder whose queries learn where their documents are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints, Vectors
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import EmbeddedQueries, Embedder
from rag.errors import ConfigError, ModelError, NotFittedError
from rag.learning.gains import paired_gain
from rag.learning.material import Material, useful_rows
from rag.learning.query_map import MapTrainer, Pool, moved, ranked
from rag.learning.reports import ReportsLearning
from rag.learning.unseen import N_FOLDS
from rag.remarks import Remark

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["MIN_QUERIES", "Adapted"]

MIN_QUERIES = 20
"""Training queries with a relevant document, below which nothing is learned."""

_HARDEST = 10
"""Passages that ``auto`` learns against where a question has few relevant documents."""
_FEW = 2.0
"""Relevant documents of a question, on average, up to which these are few."""
_STEPS = 10
"""Steps of an epoch, at least: of few queries that is several passes."""
_POOLED = 50
"""Nearest passages of every query that are in a pool which not all passages fit in."""


class Adapted(AroundEmbedder, ReportsLearning):
    """Moves the queries of another embedder to where judged questions had their relevant documents:
    ``q' = normalize(q + q W)``. Vectors of passages stay as they are, and so does an index of them.

    W starts at 0 and learns by a softmax over all passages, or the hardest of them: minus the log of the probability
    of all relevant ones together. The epoch that ranks best on the ``dev`` queries is kept (without any, on training
    queries, each moved by a map of the others). There and on training queries moved so, it must beat the plain vectors
    by more than a standard error, or queries stay as they are. What later stages learn from is moved so, too: by the
    map of those that are not the same question (``leave_out: documents`` hides no more than that here).

    It is trained on cosines, and seconds are enough on a CPU: at query time it is one product of matrices.

    Args:
        embedder: Makes the vectors: any.
        negatives: Passages in the softmax beside the relevant ones: so many, the hardest; ``all``; or ``auto``: 10
            where questions have at most 2 relevant documents on average, else all, which was better with many.
        learning_rate: Learning rate of Adam.
        epochs: Passes over the training queries, at most; a few hundred of them are passed over several times in each,
            until it has 10 steps.
        patience: Epochs without a better one after which it stops.
        batch_size: Queries per step.
        scale: Factor of the cosines in the softmax.
        max_passages: Passages learned against, at most: where there are more, the relevant ones, the nearest of every
            query, and others drawn at random.
        guard: Whether queries stay as they are where the map does not win. False takes it always.
    """

    type = "adapted"
    needs = frozenset({"training"})

    def __init__(
        self,
        *,
        embedder: Embedder,
        negatives: Annotated[int, Field(ge=1)] | Literal["all", "auto"] = "auto",
        learning_rate: Annotated[float, Field(gt=0)] = 1e-4,
        epochs: Annotated[int, Field(ge=1)] = 20,
        patience: Annotated[int, Field(ge=1)] = 3,
        batch_size: Annotated[int, Field(ge=1)] = 64,
        scale: Annotated[float, Field(gt=0)] = 20.0,
        max_passages: Annotated[int, Field(ge=100)] = 10_000,
        guard: bool = True,
    ) -> None:
        self.embedder = embedder
        self.negatives: int | Literal["all", "auto"] = negatives
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.scale = scale
        self.max_passages = max_passages
        self.guard = guard
        self._maps: Floats | None = None  # [1 + N_FOLDS, d, d]: of all queries, then of those outside each fold
        self._folds: dict[str, int] = {}
        self._about: dict[str, Any] = {}

    # -- vectors ------------------------------------------------------------------------------------------------------

    @property
    def base(self) -> Embedder:
        return self.embedder.base

    @property
    def dimension(self) -> int:
        return self.embedder.dimension

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.embedder.embed_documents(texts, advance=advance)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        maps = self._fitted()
        vectors = self.embedder.embed_queries(texts)
        return vectors if maps is None else moved(vectors, maps[0])

    def of_queries(self, batch: EmbeddedQueries) -> Vectors:
        maps = self._fitted()
        vectors = batch.embeddings(self.embedder)
        if maps is None:
            return vectors
        adapted = moved(vectors, maps[0])
        if batch.unseen is not None:
            folds = np.array([self._folds.get(query.id, -1) for query in batch.queries], dtype=np.int64)
            for fold in np.unique(folds[folds >= 0]).tolist():
                rows = folds == fold
                adapted[rows] = moved(vectors[rows], maps[1 + fold])
        return adapted

    def _fitted(self) -> Floats | None:
        if not self._about:
            raise NotFittedError.of(self)
        return self._maps

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        if context.training is None:
            raise ConfigError("'adapted' learns from judged training queries: none were given")
        self._maps, self._folds = None, {}
        useful = useful_rows(context.training, context)
        if len(useful) < MIN_QUERIES:
            few = f"{len(useful)} of {len(context.training.queries)} training queries have a relevant document"
            self._about = {"why": f"{few}, and {MIN_QUERIES} are needed to learn from"}
            return
        mine = Material(context, self.embedder, context.training, useful)
        dev = None
        if context.training.dev is not None:
            rows = useful_rows(context.training.dev, context)
            dev = Material(context, self.embedder, context.training.dev, rows) if len(rows) else None
        pool = self._pool(context, [mine] if dev is None else [mine, dev])
        folds = context.unseen().folds
        self._folds = {query.id: int(fold) for query, fold in zip(context.training.queries, folds, strict=True)}
        self._learn(mine, dev, pool, folds[useful], context)

    def _learn(self, mine: Material, dev: Material | None, pool: Pool, folds: Ints, context: FitContext) -> None:
        """Train all maps side by side, and stop where the queries that decide are ranked best."""
        relevant, barred = mine.relevant(pool), mine.barred(pool)
        negatives = self._n_negatives(mine)

        def trainer(rows: Ints) -> MapTrainer:
            return MapTrainer(
                mine.vectors[rows],
                relevant[rows],
                None if barred is None else barred[rows],
                pool,
                negatives=negatives,
                learning_rate=self.learning_rate,
                scale=self.scale,
                batch_size=self.batch_size,
                seed=context.seed,
            )

        useful = np.diff(relevant.indptr) > 0
        if not useful.any():
            self._about = {"why": "no query may find a document that is relevant to it"}
            return
        trainers = [trainer(np.flatnonzero(useful))]
        trainers += [trainer(np.flatnonzero(useful & (folds != fold))) for fold in range(N_FOLDS)]

        def outside(maps: Sequence[Floats] | Floats) -> Floats:
            """nDCG@10 of the training queries, each moved by the map of the others."""
            asked = mine.vectors.copy()
            for fold in range(N_FOLDS):
                asked[folds == fold] = moved(asked[folds == fold], maps[1 + fold])
            return mine.quality(asked, pool)

        def decisive(maps: Sequence[Floats] | Floats) -> Floats:
            return outside(maps) if dev is None else dev.quality(moved(dev.vectors, maps[0]), pool)

        first = np.stack([fold_trainer.weights for fold_trainer in trainers])
        plain = best = decisive(first)
        best_epoch, maps = 0, first
        rounds = -(-_STEPS // -(-int(useful.sum()) // self.batch_size))
        with context.progress("adapting queries", self.epochs) as advance:
            for epoch in range(1, self.epochs + 1):
                for fold_trainer in trainers * rounds:
                    fold_trainer.epoch()
                advance(1)
                now = decisive([fold_trainer.weights for fold_trainer in trainers])
                if now.mean() > best.mean():
                    best, best_epoch, maps = now, epoch, np.stack([fold_trainer.weights for fold_trainer in trainers])
                elif epoch - best_epoch >= self.patience:
                    break
        on = f"{len(folds):,} training queries, each moved by a map of others"
        if dev is not None:  # the best of many epochs wins there by chance; training queries did not choose it
            plain = np.concatenate([plain, outside(first)])
            best = np.concatenate([best, outside(maps)])
            on = f"{len(dev.vectors):,} dev queries and {on}"
        gain, error = paired_gain(best, plain)
        self._maps = maps if best_epoch and (gain > error or not self.guard) else None
        before, after = float(np.nanmean(plain)), float(np.nanmean(best))
        self._about = {"on": on, "plain": before, "adapted": after, "gain": gain, "error": error}
        self._about |= {"epoch": best_epoch, "queries": len(folds), "passages": len(pool.passages)}

    def _n_negatives(self, mine: Material) -> int | None:
        if self.negatives == "auto":
            return _HARDEST if mine.gains.table.counts.mean() <= _FEW else None
        return None if self.negatives == "all" else self.negatives

    def _pool(self, context: FitContext, materials: Sequence[Material]) -> Pool:
        """The passages to learn against: all that can be found, where they are not too many."""
        passages = context.passages
        vectors = context.embed_passages(self.embedder)
        findable = np.arange(len(passages)) if passages.findable is None else np.asarray(passages.findable)

        def pool(chosen: Ints) -> Pool:
            sample = vectors[chosen]
            length = np.maximum(np.linalg.norm(sample, axis=1, keepdims=True), 1e-12)
            return Pool(chosen, np.asarray(passages.document[chosen]), (sample / length).astype(np.float32))

        everything = pool(findable)
        if len(findable) <= self.max_passages:
            return everything
        in_pool = np.zeros(len(findable), dtype=bool)
        for material in materials:
            in_pool |= np.isin(everything.documents, material.gains.table.documents)
            near = ranked(material.vectors, everything, material.barred(everything), _POOLED)
            in_pool |= np.isin(everything.documents, near.documents)
        others = np.flatnonzero(~in_pool)
        room = max(self.max_passages - int(in_pool.sum()), 0)
        in_pool[np.random.default_rng(context.seed).permutation(others)[:room]] = True
        chosen = findable[in_pool]
        context.note(
            Remark(
                "passages_sampled",
                f"'adapted' learns against {len(chosen):,} of {len(findable):,} passages: the relevant ones, the "
                f"{_POOLED} nearest documents' of every query, and others at random (max_passages)",
                len(findable) - len(chosen),
                len(findable),
            )
        )
        return pool(chosen)

    # -- state and telling --------------------------------------------------------------------------------------------

    def save_state(self, folder: Path) -> None:
        maps = self._fitted()
        if maps is not None:
            np.save(folder / "maps.npy", maps)
        state = {"about": self._about, "folds": self._folds, "embedder": self.embedder.fingerprint}
        (folder / "adapted.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "adapted.json").read_text(encoding="utf-8"))
        if state["embedder"] != self.embedder.fingerprint:
            raise ModelError(
                f"'adapted' was fitted on the vectors of another embedder than {self.embedder!r}: restore that one, or "
                "fit again"
            )
        self._about, self._folds = state["about"], state["folds"]
        self._maps = np.load(folder / "maps.npy") if (folder / "maps.npy").is_file() else None

    def learned_report(self) -> Mapping[str, Any]:
        """The options compared, and whether queries are moved."""
        return {**self._about, "used": self._maps is not None} if self._about else {}

    def notes(self) -> tuple[str, ...]:
        report = self._about
        if not report:
            return ()
        if "why" in report:
            return (f"adapted leaves queries as they are: {report['why']}",)
        told = (
            f"nDCG@10 of its vectors alone on {report['on']}: {report['plain']:.4f} -> {report['adapted']:.4f} "
            f"({report['gain']:+.4f} ± {report['error']:.4f})"
        )
        if self._maps is None:
            return (f"adapted leaves queries as they are: it does not win by a standard error, {told}",)
        return (f"adapted moves queries, after {report['epoch']} epochs over {report['queries']:,}: {told}",)
