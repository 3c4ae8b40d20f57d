"""The contracts of embedders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from rag.candidates import Ints, Vectors
from rag.component import Component
from rag.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rag.fitting import UpdateContext
    from rag.learning.unseen import Unseen
    from rag.types import Query

__all__ = ["EmbeddedQueries", "Embedder", "TokenEmbedder", "TokenVectors"]


class EmbeddedQueries(Protocol):
    """A batch of queries as an embedder sees it that moves the vectors of another; see :class:`rag.QueryBatch`."""

    queries: Sequence[Query]
    unseen: Unseen | None

    def embeddings(self, embedder: Embedder) -> Vectors:
        """The queries' vectors by an embedder, float32 [n, d]."""


class Embedder(Component):
    """Turns texts into vectors of one length. Queries and documents may be treated differently."""

    kind: ClassVar[str] = "embedder"

    has_tokens: ClassVar[bool] = False
    """Whether :meth:`tokenizer` gives one; known without loading anything."""

    length_counts: ClassVar[bool] = False
    """Whether vectors are compared by inner product, because their lengths mean something."""

    learned_from: str = ""
    """Name of the texts it learned from, where they are not the pipeline's passages: two that are configured alike
    differ by it.
    """

    moves_queries: ClassVar[bool] = False
    """Whether the vectors of queries are made from those that another embedder gives: by :meth:`of_queries`."""

    @property
    def vectors_key(self) -> str:
        """Identity of the vectors it gives within a pipeline."""
        return self.fingerprint + self.learned_from

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of the vectors; known once fitted."""

    @property
    def window(self) -> int | None:
        """Longest text in tokens, those included that the model adds, of which nothing is cut off; None where there is
        no such limit, or nobody knows it.
        """
        return None

    @property
    def prompt_for_documents(self) -> str:
        """What is put before every document, and takes some of the :attr:`window`."""
        return ""

    @property
    def base(self) -> Embedder:
        """The embedder that makes the vectors of passages, under whose name they and their index are kept: itself, but
        for one that differs from another in the queries alone.
        """
        return self

    def stored_as(self, text: str) -> str:
        """The part of a document's text that its vector depends on, under which the store keeps it: by default all."""
        return text

    def of_queries(self, batch: EmbeddedQueries) -> Vectors:
        """Vectors of a batch's queries, float32 [n, d], by one that :attr:`moves_queries`, from what its base gives for
        them (``batch.embeddings``).
        """
        return batch.embeddings(self.base)

    @property
    def vector_source(self) -> Embedder | None:
        """The embedder of whose vectors this one makes its own, in :meth:`from_vectors`; so they are computed once for
        all who use them. None for any other.
        """
        return None

    def from_vectors(self, vectors: Vectors) -> Vectors:
        """Vectors of texts, float32 [n, d], from those of the :attr:`vector_source`."""
        raise NotImplementedError(f"{self.spec.label} has no vector_source")

    @property
    def token_source(self) -> TokenEmbedder | None:
        """The embedder of whose token vectors this one makes its own, in :meth:`from_tokens`; so they are embedded once
        for all who use them. None for an embedder of texts.
        """
        return None

    def from_tokens(self, tokens: TokenVectors, *, query: bool) -> Vectors:
        """Vectors of texts, float32 [n, d], from those of their tokens by the :attr:`token_source`."""
        raise NotImplementedError(f"{self.spec.label} reads texts: it has no token_source")

    @abstractmethod
    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, float32 [n, d], in the order of ``texts``."""

    @abstractmethod
    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        """Vectors of passages, float32 [n, d], in the order of ``texts``.

        Args:
            texts: Any number; batching is the embedder's business.
            advance: Called with the number of texts done since the last call.
        """

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """An embedder keeps what it learned: the vectors of all passages were made by it."""
        for _, child in self.spec.children():
            context.fit(child)
        context.keep(self)

    def checked(self, vectors: Vectors, n: int) -> Vectors:
        """Check the result of an embedding method for ``n`` texts.

        Raises:
            ModelError: It is not one vector of :attr:`dimension` for each.
        """
        if vectors.shape != (n, self.dimension):
            raise ModelError(
                f"the embedder {self.spec.label} returned an array of shape {vectors.shape} for {n} texts, expected "
                f"{(n, self.dimension)}"
            )
        return vectors

    def tokenizer(self) -> Tokenizer:
        """A tokenizer that counts length as this embedder does, without truncation, for chunkers."""
        raise ConfigError(f"the embedder {self.spec.label} has no tokens to count")


@dataclass(frozen=True)
class TokenVectors:
    """Vectors of every token of some texts, one after another.

    Args:
        vectors: Of length 1, float16 or float32 [tokens of all texts, d].
        ends: Ends of each text's tokens, int64 [n + 1]; text ``i`` has rows ``ends[i]`` to ``ends[i + 1]``.
    """

    vectors: Vectors
    ends: Ints

    def take(self, rows: Ints) -> TokenVectors:
        """Those of some of the texts, in this order."""
        lengths = np.diff(self.ends)[rows]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = np.repeat(self.ends[rows] - ends[:-1], lengths) + np.arange(ends[-1])
        return TokenVectors(self.vectors[tokens], ends)

    def pooled(self) -> Vectors:
        """Unit vectors of the texts, the means of their tokens', float32 [n, d]; zero for a text without a token."""
        lengths = np.diff(self.ends)
        sums = np.zeros((len(lengths), self.vectors.shape[1]), dtype=np.float32)
        has_tokens = lengths > 0
        if has_tokens.any():
            starts = self.ends[:-1][has_tokens]
            sums[has_tokens] = np.add.reduceat(self.vectors.astype(np.float32), starts, axis=0)
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return sums

    @classmethod
    def concatenate(cls, parts: Sequence[TokenVectors]) -> TokenVectors:
        lengths = np.concatenate([np.diff(part.ends) for part in parts])
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate([part.vectors for part in parts]), ends)


class TokenEmbedder(Embedder):
    """An embedder that can give a vector for every token, for late interaction."""

    trained_for_max_sim: ClassVar[bool] = False
    """Whether its token vectors were trained to be compared one by one."""

    @property
    def pools_tokens(self) -> bool:
        """Whether it merges tokens of passages."""
        return False

    def remade_tokens(self, tokens: TokenVectors, *, query: bool) -> TokenVectors:
        """Its token vectors made from those of the :attr:`token_source`: float32 of queries, float16 of passages. For
        embedders that have such a source.
        """
        raise NotImplementedError(f"{self.spec.label} reads texts: it has no token_source")

    @abstractmethod
    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Token vectors of queries, float32."""

    @abstractmethod
    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        """Token vectors of passages, float16, and, from the same pass, what :meth:`embed_documents` gives."""
