"""Vectors with fewer dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Need, Tunable
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import Embedder
from rag.embedders.principal import largest_directions, second_moment
from rag.errors import ConfigError, DataError, NotFittedError
from rag.learning.gains import Gains

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Reduced"]

Doubles = npt.NDArray[np.float64]

_REST = 1e-3
"""Weight of the passages' own directions beside those of judged questions: few questions leave most of them open."""
_FITTED = ("pca", "supervised")
"""Methods with fitted directions."""


class Reduced(AroundEmbedder):
    """Another embedder's vectors in fewer dimensions, of length 1: a smaller and faster index.

    The embedder's own vectors are computed once for all who use them, and found in a store. What is fitted here stays
    when documents are added, so that old and new vectors are of one space.

    Args:
        embedder: Makes the vectors.
        dimensions: Number of dimensions to keep.
        method: ``pca``: the directions in which the passages' vectors are longest, without centering, which would
            change the inner products with queries; ``random``: a Gaussian projection (Johnson and Lindenstrauss), which
            needs two to four times the dimensions of ``pca`` and no fitting; ``truncate``: the first dimensions, for
            models that were trained so (Matryoshka); ``supervised``: the directions in which judged training queries
            and their relevant passages agree most, the leading eigenvectors of the symmetric part of their mean outer
            product. That ranks better than the whole vectors where new questions are about documents that were judged,
            and like ``pca`` or a little worse where they are not; training queries look better than others by it.
        seed: Seed of the random projection.

    Raises:
        ConfigError: More dimensions than the embedder has.
    """

    type = "reduced"

    def __init__(
        self,
        *,
        embedder: Embedder,
        dimensions: Annotated[int, Field(ge=1), Tunable(choices=(64, 128, 256), gain=0.0)],
        method: Literal["pca", "random", "truncate", "supervised"] = "pca",
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self.method = method
        self.seed = seed
        self._directions: Vectors | None = None

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        fitted: dict[str, frozenset[Need]] = {
            "pca": frozenset({"corpus"}),
            "supervised": frozenset({"corpus", "training"}),
        }
        return fitted.get(self.method, frozenset())

    @property
    def vector_source(self) -> Embedder:
        return self.embedder

    @property
    def dimension(self) -> int:
        full = self.embedder.dimension
        if self.dimensions > full:
            raise ConfigError(
                f"must be at most the {full} of {self.embedder.spec.label}, got {self.dimensions}",
                parameter="dimensions",
            )
        return self.dimensions

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        dimensions = self.dimension
        if self.method in _FITTED:
            vectors = context.embed_passages(self.embedder)
            moment = second_moment(vectors)
            if self.method == "supervised":
                moment = self._agreement(context, vectors) + _REST * moment / np.trace(moment)
            self._directions = largest_directions(moment, dimensions)

    def _agreement(self, context: FitContext, vectors: Vectors) -> Doubles:
        """The symmetric part of the mean outer product of training queries and the mean of their relevant passages,
        float64 [full, full].
        """
        training = context.training
        if training is None:
            raise ConfigError(f"{self.spec.label} with method 'supervised' learns from judged queries: none were given")
        relevant = Gains(training.queries, training.qrels, context.corpus).table
        rows, columns = np.nonzero(relevant.mask)
        if not len(rows):
            raise DataError(f"{self.spec.label}: no training query has a relevant document in the corpus")
        queries = context.training_batch().embeddings(self.embedder).astype(np.float64)
        # A document's vector is the mean of its passages'.
        sums = np.zeros((len(context.corpus), vectors.shape[1]))
        np.add.at(sums, context.passages.document, vectors)
        counts = np.bincount(context.passages.document, minlength=len(sums))
        documents = sums / np.maximum(counts, 1)[:, None]
        means = np.zeros_like(queries)
        np.add.at(means, rows, documents[relevant.documents[rows, columns]])
        means /= np.maximum(relevant.counts, 1)[:, None]
        product = queries.T @ means / len(np.unique(rows))
        return np.asarray((product + product.T) / 2, dtype=np.float64)

    def from_vectors(self, vectors: Vectors) -> Vectors:
        reduced = vectors @ self._projection(vectors.shape[1])
        norms = np.linalg.norm(reduced, axis=1, keepdims=True)
        unit: Vectors = (reduced / np.where(norms == 0, 1, norms)).astype(np.float32)
        return unit

    def _projection(self, full: int) -> Vectors:
        """Float32 [full, dimensions]."""
        if self.method in _FITTED:
            if self._directions is None:
                raise NotFittedError.of(self)
            return self._directions
        if self.method == "truncate":
            return np.eye(full, self.dimension, dtype=np.float32)
        rng = np.random.default_rng([self.seed, full])
        return rng.normal(size=(full, self.dimension)).astype(np.float32)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.from_vectors(self.embedder.embed_queries(texts))

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.from_vectors(self.embedder.embed_documents(texts, advance=advance))

    def save_state(self, folder: Path) -> None:
        if self._directions is not None:
            np.save(folder / "directions.npy", self._directions)

    def load_state(self, folder: Path, context: FitContext) -> None:
        if self.method in _FITTED:
            self._directions = np.load(folder / "directions.npy")
