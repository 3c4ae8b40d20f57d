"""Fixed dimensional encodings: sets of token vectors as one vector each, whose inner product estimates their
late-interaction score (MUVERA: Dhulipala et al. 2024, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints, Vectors
from rag.embedders.base import TokenVectors

__all__ = ["FixedDimensional"]

_BLOCK = 1 << 24
"""Numbers held at a time: 64 MiB of float32."""


class FixedDimensional:
    """The random space that queries and documents are encoded in.

    Each repetition parts the token space by ``k_sim`` random hyperplanes (SimHash). A query is the sum of its tokens in
    every part, a document their mean; parts that no token of a document lies in get the token whose side of the planes
    differs least (``fill``). Parts and repetitions stand side by side.

    Args:
        dimension: Length of the token vectors.
        k_sim: Hyperplanes: ``2 ** k_sim`` parts.
        repetitions: Independent partitions.
        projection: Maps tokens to what is summed, float32 [repetitions or 1, dimension, p]; None sums them as they are.
        final_dimension: Length of the encoding by a count sketch of all parts; None keeps them.
        seed: Seed of hyperplanes and sketch.

    Example:
        >>> space = FixedDimensional(4, k_sim=2, repetitions=3, seed=1)
        >>> space.length  # 3 repetitions of 4 parts of 4 dimensions
        48
    """

    def __init__(
        self,
        dimension: int,
        *,
        k_sim: int,
        repetitions: int,
        projection: Vectors | None = None,
        final_dimension: int | None = None,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng([seed, dimension, k_sim, repetitions])
        self._k_sim, self._repetitions, self._projection = k_sim, repetitions, projection
        self._planes = rng.normal(size=(repetitions, dimension, k_sim)).astype(np.float32)
        self._width = dimension if projection is None else projection.shape[2]
        full = repetitions * 2**k_sim * self._width
        self.length = full if final_dimension is None else final_dimension
        self._sketch = None
        if final_dimension is not None:
            from scipy.sparse import csr_array

            signs = rng.choice(np.array([-1, 1], dtype=np.float32), size=full)
            columns = rng.integers(final_dimension, size=full)
            self._sketch = csr_array((signs, columns, np.arange(full + 1)), shape=(full, final_dimension))

    def queries(self, tokens: TokenVectors) -> Vectors:
        """Encodings of queries, float32 [n, length], scaled so that products with documents estimate the mean over the
        query's tokens; zero for one without a token.
        """
        encoded = self._encoded(tokens, mean=False, fill=False)
        counts = np.maximum(np.diff(tokens.ends), 1).astype(np.float32)
        encoded /= (counts * self._repetitions)[:, None]
        return encoded

    def documents(self, tokens: TokenVectors, *, fill: bool = True) -> Vectors:
        """Encodings of documents, float32 [n, length]; zero for one without a token."""
        return self._encoded(tokens, mean=True, fill=fill)

    def _encoded(self, tokens: TokenVectors, *, mean: bool, fill: bool) -> Vectors:
        encoded = np.empty((len(tokens.ends) - 1, self.length), dtype=np.float32)
        for first, last in self._blocks(tokens.ends):
            start, stop = int(tokens.ends[first]), int(tokens.ends[last])
            vectors = tokens.vectors[start:stop].astype(np.float32)
            ends = tokens.ends[first : last + 1] - start
            parts = [self._parts(vectors, ends, r, mean=mean, fill=fill) for r in range(self._repetitions)]
            whole = np.concatenate(parts, axis=1)
            encoded[first:last] = whole if self._sketch is None else whole @ self._sketch
        return encoded

    def _blocks(self, ends: Ints) -> Iterator[tuple[int, int]]:
        """Texts in blocks that take little memory: their encodings, and a table of their tokens and parts."""
        cost = np.arange(len(ends)) * (self._repetitions * 2**self._k_sim * self._width) + ends * 2**self._k_sim
        first = 0
        while first < len(ends) - 1:
            last = int(np.searchsorted(cost, cost[first] + _BLOCK, side="right")) - 1
            last = min(max(last, first + 1), len(ends) - 1)
            yield first, last
            first = last

    def _parts(self, vectors: Vectors, ends: Ints, repetition: int, *, mean: bool, fill: bool) -> Vectors:
        """One repetition of a block of texts, float32 [n, parts * width]."""
        from scipy.sparse import csc_array

        n, parts = len(ends) - 1, 2**self._k_sim
        sides = (vectors @ self._planes[repetition] > 0) @ (1 << np.arange(self._k_sim))
        projected = vectors
        if self._projection is not None:
            projected = vectors @ self._projection[repetition % len(self._projection)]
        lengths = np.diff(ends)
        cells = np.repeat(np.arange(n), lengths) * parts + sides
        ones = np.ones(len(cells), dtype=np.float32)
        sums = np.asarray(
            csc_array((ones, cells, np.arange(len(cells) + 1)), shape=(n * parts, len(cells))) @ projected
        )
        if mean:
            counts = np.bincount(cells, minlength=n * parts)
            sums /= np.maximum(counts, 1)[:, None]
            if fill and len(cells):
                empty = np.flatnonzero((counts == 0) & np.repeat(lengths > 0, parts))
                sums[empty] = projected[self._nearest_tokens(sides, ends)[empty]]
        return sums.reshape(n, parts * self._width)

    def _nearest_tokens(self, sides: Ints, ends: Ints) -> npt.NDArray[np.int64]:
        """For each text and part, the first token on the side of the fewest other planes, int64 [n * parts]; anything
        for a text without a token.
        """
        parts = 2**self._k_sim
        differing = np.bitwise_count(sides[:, None] ^ np.arange(parts)).astype(np.int64)
        keys = differing * len(sides) + np.arange(len(sides))[:, None]
        has_tokens = np.diff(ends) > 0
        nearest = np.zeros((len(has_tokens), parts), dtype=np.int64)
        nearest[has_tokens] = np.minimum.reduceat(keys, ends[:-1][has_tokens], axis=0) % len(sides)
        return nearest.ravel()
