"""A calibrated cutoff for any score, by the mechanism of the Cosine Adapter."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Candidates, Floats
from rag.embedders.base import Embedder
from rag.errors import ArtifactError, ConfigError, DataError, NotFittedError
from rag.filters.base import Filter
from rag.filters.curves import Family, stretched
from rag.filters.features import in_deviations, list_features
from rag.filters.keep import Keep, check_classes, check_keep
from rag.filters.network import Bag, Recipe, Size, train
from rag.filters.platt import fit_platt, sigmoid

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Features", "ScoreAdapter"]

Features = Literal["query_and_scores", "query", "scores"]

_FARTHEST = 5.0
"""Limit of features in standard deviations of the training queries; beyond it a network only guesses."""


@dataclass(frozen=True)
class _Scaling:
    """Scaling of inputs, measured on the training queries.

    Args:
        mean: Means of the list features; empty without any.
        spread: Their standard deviations.
        center: Subtrahend of scores, where the curve takes raw scores.
        unit: Divisor of scores in that case.
        depth: Length of the longest list.
        slope: Calibration slope of the logits.
        offset: Calibration offset of the logits.
        embedder: Content fingerprint of the embedder; empty without one.
        dimension: Dimension of the query embeddings; 0 without.
    """

    mean: list[float]
    spread: list[float]
    center: float
    unit: float
    depth: int
    slope: float
    offset: float
    embedder: str
    dimension: int


class ScoreAdapter(Filter):
    """Learns, for each query, the curve from the scores of the stage before to a probability of relevance, and cuts
    there: after a cross-encoder, a fusion, anything that scores.

    Scores have no common scale across queries; a curve with parameters predicted for each query gives them one. The
    parameters are predicted by a bag of small networks from the shape of the list of scores (mean, spread, leading
    scores and gaps), and from the query's embedding if an embedder is given. The networks learn from everything that
    the previous stages retrieve for the training queries, so their prior is that of actual use. Each network holds out
    three tenths of these queries, for early stopping, for calibration of its logits (see ``platt``, which also corrects
    the prior) and for choosing the threshold.

    Args:
        embedder: Embedder of the query; the retriever's own costs nothing extra. Required by ``features`` with a query.
        features: What the curve is predicted from: ``scores`` (the list alone), ``query`` (the embedding alone; the
            paper's form) or ``query_and_scores``. With the list, the curve is one of the score in standard deviations
            from the mean of its list, else of the score itself.
        family: The curve, of a score ``x``: ``linear`` (a x + b), ``sqrt``, ``quadratic`` or ``power``
            (a sgn(x) abs(x)^k + b, k = 1/2, 2 or predicted between 0 and 2).
        monotone: Keep the slope a positive, so that the order within a query never changes; false is the paper's
            unconstrained form.
        network: ``small``, for some hundred training queries: 64 hidden units beside a linear path; ``paper``, for a
            hundred
            thousand: the paper's 4 d hidden units.
        networks: Number of networks in the bag, whose logits are averaged.
        negatives: Maximum number of irrelevant (and of relevant) candidates per query to learn from; they are drawn at
            random and weighted to represent all. Calibration uses all.
        keep: Target on the training queries: ``recall``, ``precision``, ``f_beta``, ``expected_relevant`` (relevant
            documents per query) or ``threshold``, a probability.
        top_k: Maximum number of candidates to keep.
    """

    type = "score_adapter"
    _libraries = ("torch", "scipy")
    gives_probabilities = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        features: Features = "scores",
        family: Family = "linear",
        monotone: bool = True,
        network: Size = "small",
        networks: Annotated[int, Field(ge=1, le=10)] = 10,
        negatives: Annotated[int, Field(ge=1)] = 100,
        keep: Keep = {"recall": 0.95},  # noqa: B006 - copied for each instance
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        check_keep(self.spec.label, keep)
        if embedder is None and features != "scores" and not self.spec.parameters["embedder"].inherited:
            raise ConfigError(
                f"{self.spec.label}: features '{features}' need the embedder of the query", parameter="features"
            )
        self.embedder = embedder
        self.features: Features = features
        self.family: Family = family
        self.monotone = monotone
        self.network: Size = network
        self.networks = networks
        self.negatives = negatives
        self.keep = keep
        self.top_k = top_k
        self._bag: Bag | None = None
        self._scaling: _Scaling | None = None

    @property
    def keeps_order(self) -> bool:
        return self.monotone

    # -- learning ---------------------------------------------------------------------------------------------------

    def learn(
        self, batch: QueryBatch, candidates: Candidates, relevant: npt.NDArray[np.bool_], context: FitContext
    ) -> tuple[npt.NDArray[np.int64], Any]:
        mask = candidates.mask
        check_classes(relevant[mask], self.spec.label)
        if len(candidates) < 10:
            raise DataError(f"{self.spec.label} needs at least 10 training queries, got {len(candidates)}")
        self._check(batch, candidates)
        self._scaling = self._measured(batch, candidates)
        inputs, x = self._inputs(batch, candidates)
        spread = float(stretched(x[mask], self.family, np).std()) if self.family != "power" else float(x[mask].std())
        slope = 1.0 / max(spread, 1e-6)
        share = relevant[mask].mean()
        middle = float(np.mean(stretched(x[mask], self.family, np) if self.family != "power" else x[mask]))
        offset = float(np.log(share / (1 - share))) - slope * middle
        recipe = Recipe(self.family, self.monotone, self.network, self.networks, slope, offset)

        columns, weight = _drawn(mask, relevant, self.negatives, np.random.default_rng(context.seed))
        at = np.maximum(columns, 0)
        learned = np.take_along_axis(x, at, 1), np.take_along_axis(relevant, at, 1) & (columns >= 0)
        self._bag, outside = train(recipe, inputs, *learned, weight, context.seed)

        rows = np.flatnonzero(outside.any(axis=0))
        logits = np.zeros((len(rows), x.shape[1]), dtype=np.float32)
        for member, unseen in enumerate(outside):
            mine = np.flatnonzero(unseen[rows])
            alone = Bag(recipe, {name: value[member : member + 1] for name, value in self._bag.weights.items()})
            logits[mine] += alone(inputs[rows[mine]], x[rows[mine]])
        logits /= outside[:, rows].sum(axis=0, dtype=np.float32)[:, None]
        mask, relevant = mask[rows], relevant[rows]
        check_classes(relevant[mask], self.spec.label)
        slope, offset = fit_platt(logits[mask], relevant[mask])
        self._scaling = _Scaling(**(asdict(self._scaling) | {"slope": slope, "offset": offset}))
        return rows, self._probabilities(logits, mask)

    def _measured(self, batch: QueryBatch, candidates: Candidates) -> _Scaling:
        mean: Any = np.zeros(0)
        spread: Any = np.zeros(0)
        depth = int(candidates.counts.max())
        if self.features != "query":
            lists = list_features(candidates, depth).astype(np.float64)
            mean, spread = lists.mean(axis=0), np.maximum(lists.std(axis=0), 1e-6)
        scores = candidates.scores[candidates.mask].astype(np.float64)
        center, unit = self._scale_of(float(scores.mean()), max(float(scores.std()), 1e-6))
        embedder = self.embedder.spec.cache_key if self.embedder is not None else ""
        dimension = batch.embeddings(self.embedder).shape[1] if self.embedder is not None else 0
        return _Scaling(mean.tolist(), spread.tolist(), center, unit, depth, 1.0, 0.0, embedder, dimension)

    def _scale_of(self, mean: float, spread: float) -> tuple[float, float]:
        """Subtrahend and divisor of scores, where the curve takes raw scores."""
        return mean, spread

    def _check(self, batch: QueryBatch, candidates: Candidates) -> None:
        """Refuse scores that do not suit the curve."""

    # -- asking -----------------------------------------------------------------------------------------------------

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        if self._bag is None:
            raise NotFittedError.of(self)
        if not candidates.scores.size:
            return candidates.scores
        self._check(batch, candidates)
        inputs, x = self._inputs(batch, candidates)
        return self._probabilities(self._bag(inputs, x), candidates.mask)

    def _inputs(self, batch: QueryBatch, candidates: Candidates) -> tuple[Floats, Floats]:
        """Features of the queries, and scores as inputs of the curve; both finite."""
        scaling = self._scaling
        assert scaling is not None
        parts = []
        if self.embedder is not None and self.features != "scores":
            vectors = batch.embeddings(self.embedder)
            if vectors.shape[1] != scaling.dimension:
                raise DataError(
                    f"{self.spec.label} was fitted with query embeddings of {scaling.dimension} dimensions and is "
                    f"asked with {vectors.shape[1]}: fit it again with this embedder"
                )
            norm = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
            # Scale each dimension to about 1, like the other features.
            parts.append(vectors * (np.float32(vectors.shape[1] ** 0.5) / np.maximum(norm, np.float32(1e-12))))
        if self.features == "query":
            x = (candidates.scores - np.float32(scaling.center)) / np.float32(scaling.unit)
        else:
            mean, spread = (np.array(array, dtype=np.float32) for array in (scaling.mean, scaling.spread))
            lists = (list_features(candidates, scaling.depth) - mean) / spread
            parts.append(np.clip(lists, -_FARTHEST, _FARTHEST))
            x, _, _ = in_deviations(candidates)
        x = x if candidates.mask.all() else np.where(candidates.mask, x, np.float32(0))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), x

    def _probabilities(self, logits: Floats, mask: npt.NDArray[np.bool_]) -> Floats:
        assert self._scaling is not None
        probabilities = sigmoid(logits * np.float32(self._scaling.slope) + np.float32(self._scaling.offset))
        return np.asarray(
            probabilities if mask.all() else np.where(mask, probabilities, np.float32(-np.inf)), dtype=np.float32
        )

    # -- keeping ----------------------------------------------------------------------------------------------------

    def save_state(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        super().save_state(folder)
        if self._bag is None or self._scaling is None:
            return
        save_file(
            {name: np.ascontiguousarray(array) for name, array in self._bag.weights.items()},
            folder / "networks.safetensors",
        )
        description = {"recipe": asdict(self._bag.recipe), "scaling": asdict(self._scaling)}
        (folder / "adapter.json").write_text(json.dumps(description), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:  # type: ignore[override]
        from safetensors.numpy import load_file

        super().load_state(folder, context)
        if not (folder / "adapter.json").is_file():
            return
        description = json.loads((folder / "adapter.json").read_text(encoding="utf-8"))
        scaling = _Scaling(**description["scaling"])
        if self.embedder is not None and self.embedder.spec.cache_key != scaling.embedder:
            raise ArtifactError(
                f"{self.spec.label} was fitted with another embedder, or with other weights of it, than "
                f"{self.embedder!r}: fit it again with this one"
            )
        self._scaling = scaling
        self._bag = Bag(Recipe(**description["recipe"]), load_file(folder / "networks.safetensors"))


def _drawn(
    mask: npt.NDArray[np.bool_], relevant: npt.NDArray[np.bool_], most: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Candidates to learn from: of each query at most so many of either kind, weighted to stand for all of their kind.

    Returns:
        Columns int64 [n, m], -1 at padding, and weights float32 [n, m].
    """
    chance = rng.random(mask.shape)
    weight = np.zeros(mask.shape, dtype=np.float32)
    for kind in (mask & relevant, mask & ~relevant):
        lots = np.where(kind, chance, 2.0)
        rank = np.argsort(np.argsort(lots, axis=1), axis=1)
        n = kind.sum(axis=1, keepdims=True)
        taken = kind & (rank < most)
        weight += taken * (n / np.maximum(np.minimum(n, most), 1)).astype(np.float32)
    width = int((weight > 0).sum(axis=1).max())
    columns = np.argsort(weight == 0, axis=1, kind="stable")[:, :width]
    weight = np.take_along_axis(weight, columns, 1)
    return np.where(weight > 0, columns, -1), weight
