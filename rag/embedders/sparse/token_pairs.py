"""The distinct tokens of each text, with a model's mean vector of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.candidates import Bools, Ints, Vectors
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.errors import ModelError

__all__ = ["TokenPairs", "token_pairs"]

_TOGETHER = 256
"""Texts whose token vectors are float32 at a time."""


@dataclass(frozen=True)
class TokenPairs:
    """Pairs of a text and a token that it has.

    Args:
        texts: Position of each pair's text, int64 [m], ascending.
        tokens: Number of the token in the vocabulary, int64 [m], ascending in each text.
        counts: Count of the token in the text, int64 [m].
        vectors: Mean of its vectors in the text, float16 [m, d].
        lengths: Tokens of each text, special ones aside, int64 [n].
    """

    texts: Ints
    tokens: Ints
    counts: Ints
    vectors: Vectors
    lengths: Ints

    def only(self, mask: Bools) -> TokenPairs:
        """Some of the pairs, of the same texts."""
        return TokenPairs(self.texts[mask], self.tokens[mask], self.counts[mask], self.vectors[mask], self.lengths)

    @classmethod
    def joined(cls, parts: Sequence[TokenPairs]) -> TokenPairs:
        """The pairs of several lots of texts, one after the other."""
        first = np.cumsum([0, *(len(part.lengths) for part in parts)])[:-1]
        return cls(
            np.concatenate([part.texts + start for part, start in zip(parts, first.tolist(), strict=True)]),
            np.concatenate([part.tokens for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.vectors for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )


def token_pairs(embedder: TokenEmbedder, texts: Sequence[str], vectors: TokenVectors) -> Iterator[TokenPairs]:
    """The pairs of texts, some hundred texts at a time.

    Args:
        embedder: The embedder whose tokens are used.
        texts: Documents.
        vectors: Vectors of their tokens, including special tokens.

    Raises:
        ModelError: The embedder has vectors for other tokens than its tokenizer gives, as one that masks punctuation
            or was saved with the vocabulary of another model.
    """
    tokenizer: Any = embedder.tokenizer()
    for first in range(0, len(texts), _TOGETHER):
        chunk = texts[first : first + _TOGETHER]
        part = vectors.take(np.arange(first, first + len(chunk)))
        yield _pairs(tokenizer.encode_batch([embedder.prompt_for_documents + text for text in chunk]), part, embedder)


def _pairs(encodings: Sequence[Any], vectors: TokenVectors, embedder: TokenEmbedder) -> TokenPairs:
    ids, words = [], []
    for encoding, n in zip(encodings, np.diff(vectors.ends).tolist(), strict=True):
        cut = len(encoding.ids) > n  # the end of a long text is cut off, but for the last special token
        if len(encoding.ids) < n or (cut and n != embedder.window):
            raise ModelError(
                f"{embedder.spec.label} has {n} vectors for a text of {len(encoding.ids)} tokens: they are not the "
                "tokens of its tokenizer, each with a vector of its own"
            )
        positions = [*range(n - 1), len(encoding.ids) - 1] if cut and n else slice(0, n)
        ids.append(np.asarray(encoding.ids, dtype=np.int64)[positions])
        words.append(np.asarray(encoding.special_tokens_mask)[positions] == 0)
    is_word = np.concatenate(words)
    token = np.concatenate(ids)[is_word]
    lengths = np.array([in_word.sum() for in_word in words], dtype=np.int64)
    owner = np.repeat(np.arange(len(encodings)), lengths)
    if not len(token):
        empty = np.empty(0, dtype=np.int64)
        return TokenPairs(empty, empty, empty, vectors.vectors[:0].astype(np.float16), lengths)
    order = np.lexsort((token, owner))
    token, owner = token[order], owner[order]
    starts = np.flatnonzero(np.r_[True, (token[1:] != token[:-1]) | (owner[1:] != owner[:-1])])
    counts = np.diff(starts, append=len(token))
    sums = np.add.reduceat(vectors.vectors[is_word][order].astype(np.float32), starts, axis=0)
    return TokenPairs(owner[starts], token[starts], counts, (sums / counts[:, None]).astype(np.float16), lengths)
