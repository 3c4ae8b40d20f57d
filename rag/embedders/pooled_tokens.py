"""Fewer token vectors: those of a passage that are alike become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Tunable
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.errors import ConfigError

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["PooledTokens", "merged_tokens"]


class PooledTokens(AroundEmbedder, TokenEmbedder):
    """Merges the tokens of passages, not of queries, into one vector for every ``factor`` of them: Ward clusters of
    cosine distances, the first token apart (token pooling, Clavie et al. 2024). Memory falls by the factor.

    For token vectors of any kind; ``multi_vector`` has a ``pool_factor`` of its own, and pooling twice is refused.

    Args:
        embedder: Makes the token vectors.
        factor: Tokens for each vector that stays.
    """

    type = "pooled_tokens"
    _libraries = ("sentence-transformers", "scipy")
    embedder: TokenEmbedder

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        factor: Annotated[int, Field(ge=2, le=64), Tunable(choices=(2, 3, 4), gain=0.0)] = 2,
    ) -> None:
        self.embedder = embedder
        self.factor = factor

    def _preflight(self) -> None:
        below: TokenEmbedder | None = self.embedder
        while below is not None:
            if below.pools_tokens:
                raise ConfigError(
                    f"pools the tokens of {below.spec.label}, which pools them already", parameter="factor"
                )
            below = below.token_source

    @property
    def pools_tokens(self) -> bool:
        return True

    @property
    def trained_for_max_sim(self) -> bool:  # type: ignore[override]
        return self.embedder.trained_for_max_sim

    @property
    def token_source(self) -> TokenEmbedder:
        return self.embedder

    @property
    def dimension(self) -> int:
        return self.embedder.dimension

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        self._preflight()

    def remade_tokens(self, tokens: TokenVectors, *, query: bool) -> TokenVectors:
        return tokens if query else merged_tokens(tokens, self.factor)

    def from_tokens(self, tokens: TokenVectors, *, query: bool) -> Vectors:
        return self.remade_tokens(tokens, query=query).pooled()

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return self.embedder.embed_query_tokens(texts)

    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        tokens = self.remade_tokens(self.embedder.embed_document_tokens(texts, advance=advance)[0], query=False)
        return tokens, tokens.pooled()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.embed_query_tokens(texts).pooled()

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.embed_document_tokens(texts, advance=advance)[1]


def merged_tokens(tokens: TokenVectors, factor: int) -> TokenVectors:
    """The means of clusters of each text's tokens, of length 1, in the storage of the tokens.

    Args:
        tokens: Token vectors of texts.
        factor: Tokens for each cluster.
    """
    import torch
    from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

    if not len(tokens.vectors):
        return tokens
    full = torch.from_numpy(tokens.vectors.astype(np.float32))
    texts = list(torch.split(full, np.diff(tokens.ends).tolist()))
    pooled = HierarchicalTokenPooling(pool_factor=factor).pool(texts)
    ends = np.concatenate([[0], np.cumsum([len(text) for text in pooled])]).astype(np.int64)
    return TokenVectors(torch.cat(pooled).numpy().astype(tokens.vectors.dtype), ends)
