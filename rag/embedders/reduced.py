"""Vectors with fewer dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Need, Tunable
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import Embedder
from rag.embedders.principal import principal_directions
from rag.errors import ConfigError, NotFittedError

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Reduced"]


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
            models that were trained so (Matryoshka).
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
        method: Literal["pca", "random", "truncate"] = "pca",
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self.method = method
        self.seed = seed
        self._directions: Vectors | None = None

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return frozenset({"corpus"} if self.method == "pca" else ())

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
        if self.method == "pca":
            vectors = context.embed_passages(self.embedder)
            self._directions = principal_directions(vectors, dimensions)

    def from_vectors(self, vectors: Vectors) -> Vectors:
        reduced = vectors @ self._projection(vectors.shape[1])
        norms = np.linalg.norm(reduced, axis=1, keepdims=True)
        unit: Vectors = (reduced / np.where(norms == 0, 1, norms)).astype(np.float32)
        return unit

    def _projection(self, full: int) -> Vectors:
        """Float32 [full, dimensions]."""
        if self.method == "pca":
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
        if self.method == "pca":
            self._directions = np.load(folder / "directions.npy")
