"""Any LangChain ``Embeddings`` object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime, WrapsObject
from rag.embedders.base import Embedder
from rag.errors import ModelError

__all__ = ["LangChainEmbedder"]


@runtime_checkable
class LangChainEmbeddings(Protocol):
    """The two methods of ``langchain_core.embeddings.Embeddings`` that are used."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...
    def embed_query(self, text: str) -> list[float]: ...


class LangChainEmbedder(WrapsObject, Embedder):
    """Wraps a LangChain ``Embeddings`` object. From Python only: a YAML file cannot hold the object.

    Args:
        embeddings: The object.
        name: What identifies its results (provider, model, version). Without it nothing computed is ever shared with
            another object, since nobody can tell whether two objects are alike.
        batch_size: Documents per request.
    """

    type = "langchain"

    def __init__(
        self,
        embeddings: LangChainEmbeddings,
        *,
        name: str | None = None,
        batch_size: Annotated[int, Field(ge=1), Runtime()] = 64,
    ) -> None:
        self.embeddings = embeddings
        self.name = name
        self.batch_size = batch_size
        self._dimension = 0

    @property
    def dimension(self) -> int:
        if not self._dimension:
            self._dimension = len(self.embeddings.embed_query("dimension"))
        return self._dimension

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._checked([self.embeddings.embed_query(text) for text in texts], len(texts))

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        rows: list[list[float]] = []
        for first in range(0, len(texts), self.batch_size):
            batch = list(texts[first : first + self.batch_size])
            rows.extend(self.embeddings.embed_documents(batch))
            if advance:
                advance(len(batch))
        return self._checked(rows, len(texts))

    def _checked(self, rows: list[list[float]], expected: int) -> Vectors:
        label = type(self.embeddings).__name__
        if len(rows) != expected:
            raise ModelError(f"{label} returned {len(rows)} vectors for {expected} texts")
        try:
            vectors = (
                np.asarray(rows, dtype=np.float32).reshape(expected, -1) if rows else np.empty((0, self.dimension))
            )
        except ValueError:
            raise ModelError(f"{label} returned vectors of different lengths") from None
        if vectors.shape[1] != self.dimension:
            raise ModelError(
                f"{label} returned vectors of length {vectors.shape[1]}, before of length {self.dimension}"
            )
        return vectors.astype(np.float32, copy=False)
