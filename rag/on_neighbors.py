"""What components have in common that walk from passages to their nearest neighbors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.component.inheritance import given
from rag.embedders.base import Embedder
from rag.errors import NotFittedError
from rag.on_passages import OnPassages
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["OnNeighbors", "nearest_neighbors"]

_EXACT = 100_000
"""Passages up to which neighbors are found by comparing all with all."""


class OnNeighbors(OnPassages):
    """Has a graph of each passage's nearest neighbors by the vectors of an embedder, its own or the retriever's. In a
    store the graph is an artifact of its own, shared by all components that have the same passages, embedder and number
    of neighbors.
    """

    embedder: Embedder | None
    neighbours: int
    _graph: Ints | None = None

    needs = frozenset({"corpus"})

    @property
    def graph(self) -> Ints:
        """Neighbors of each passage, nearest first, int32 [n, neighbours]; -1 where there are fewer.

        Raises:
            NotFittedError: There is none yet.
        """
        if self._graph is None:
            raise NotFittedError.of(self)
        return self._graph

    def fit(self, context: FitContext) -> None:
        super().fit(context)

        embedder = given(self.embedder, self)

        def make() -> Ints:
            return nearest_neighbors(context.embed_passages(embedder), self.neighbours)

        if context.store is None or not embedder.spec.is_serializable:
            self._graph = make()
            return
        key = fingerprint([embedder.spec.cache_key, context.passages.fingerprint, self.neighbours])
        description = f"{self.neighbours} neighbours of {len(context.passages)} passages by {embedder!r}"
        folder = context.store.artifact(
            "graph", key, lambda path: np.save(path / "graph.npy", make()), description=description
        )
        self._graph = np.load(folder / "graph.npy", mmap_mode="r")

    def update(self, context: UpdateContext, kept: Ints) -> None:
        if len(kept) == len(self.passages) == len(context.passages):
            for _, child in self.spec.children():
                context.fit(child)
            self._passages = context.passages
            context.keep(self)
        else:
            self.fit(context)

    @property
    def _caches_state(self) -> bool:
        """The graph is kept by itself."""
        return False

    def save_state(self, folder: Path) -> None:
        np.save(folder / "graph.npy", self.graph)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._graph = np.load(Path(folder) / "graph.npy", mmap_mode="r")


def nearest_neighbors(vectors: Vectors, k: int) -> Ints:
    """The ``k`` passages with the largest cosines to each, itself left out: int32 [n, k], -1 where there are fewer.

    All are compared with all up to 100,000 passages; above that HNSW finds nearly all of them.
    """
    import faiss

    n, d = vectors.shape
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.ascontiguousarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)
    if n <= _EXACT:
        index: Any = faiss.IndexFlatIP(d)
    else:
        index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = max(64, 2 * k)
    index.add(scaled)
    _, nearest = index.search(scaled, min(k + 1, n))
    nearest[nearest == np.arange(n)[:, None]] = -1
    order = np.argsort(nearest < 0, axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(nearest, order, 1).astype(np.int32)
    return np.pad(near, ((0, 0), (0, k - near.shape[1])), constant_values=-1)
