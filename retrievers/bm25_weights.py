"""Weights of BM25 from term frequencies: five variants of one formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.candidates import Bools, Floats, Ints

__all__ = ["VARIANTS", "BM25Weights"]

_BLOCK = 1 << 20
"""Weights computed at a time: some arrays of 8 MiB."""

_Doubles = npt.NDArray[np.float64]


def _lucene_idf(n: int, df: _Doubles) -> _Doubles:
    return np.log(1 + (n - df + 0.5) / (df + 0.5))


def _robertson_idf(n: int, df: _Doubles) -> _Doubles:
    return np.log(np.maximum((n - df + 0.5) / (df + 0.5), 1))  # never below 0


def _robertson_tf(tf: _Doubles, norm: _Doubles, k1: float, delta: float) -> _Doubles:
    return tf / (k1 * norm + tf)


def _atire_tf(tf: _Doubles, norm: _Doubles, k1: float, delta: float) -> _Doubles:
    return (k1 + 1) * tf / (k1 * norm + tf)


def _bm25l_tf(tf: _Doubles, norm: _Doubles, k1: float, delta: float) -> _Doubles:
    scaled = tf / norm + delta
    return (k1 + 1) * scaled / (k1 + scaled)


VARIANTS: Mapping[str, tuple[Callable[..., _Doubles], Callable[..., _Doubles]]] = {
    "lucene": (_lucene_idf, _robertson_tf),
    "robertson": (_robertson_idf, _robertson_tf),
    "atire": (lambda n, df: np.log(n / df), _atire_tf),
    "bm25l": (lambda n, df: np.log((n + 1) / (df + 0.5)), _bm25l_tf),
    "bm25+": (lambda n, df: np.log((n + 1) / df), lambda *given: _atire_tf(*given) + given[-1]),
}
"""Rarity and term frequency of each variant, as Kamphuis et al. 2020 (table 1) and bm25s have them."""


class BM25Weights:
    """Weights of words in passages, computed when a word is first asked for: the first question after loading waits
    for its own words only.

    Statistics (passages, passages with a word, mean length) are those of the living passages; the others get weights
    all the same, by these statistics. Weights are above 0, if only just, also where a variant gives a word that most
    passages have no weight: whoever has it shares it. ``delta`` goes to passages with the word only (Lv and Zhai 2011);
    bm25s gives it to all.

    Args:
        frequencies: Counts of each word in each passage, scipy CSR array [words, passages].
        lengths: Words of each passage, int64 [passages].
        alive: Mask of passages that count, bool [passages]; None for all.
        variant: One of :data:`VARIANTS`.
        k1: Saturation of repeated words.
        b: Penalty on long passages.
        delta: Lower bound of a word that occurs, in ``bm25l`` and ``bm25+``.
    """

    def __init__(
        self, frequencies: Any, lengths: Ints, alive: Bools | None, *, variant: str, k1: float, b: float, delta: float
    ) -> None:
        self.values: Floats = np.empty(len(frequencies.data), dtype=np.float32)
        """One for each stored frequency, in their order; only those of words that were asked for."""
        self._frequencies, self._alive = frequencies, alive
        self._variant, self._k1, self._delta = VARIANTS[variant], k1, delta
        self._known = np.zeros(frequencies.shape[0], dtype=bool)
        counted = lengths.astype(np.float64) if alive is None else lengths[alive].astype(np.float64)
        self._n = len(counted)
        mean = counted.mean() if self._n else 0.0
        self._norm = 1 - b + b * lengths / (mean or 1.0)

    def prepare(self, words: Any) -> None:
        """Compute the weights of these words, integers in any order."""
        words = words[~self._known[words]]
        if not len(words):
            return
        words = np.unique(words)
        sizes = self._frequencies.indptr[words + 1] - self._frequencies.indptr[words]
        parts = np.cumsum(sizes, dtype=np.int64) // _BLOCK
        for group in np.split(words, np.flatnonzero(np.diff(parts)) + 1):
            self._compute(group)
        self._known[words] = True

    def _compute(self, words: Any) -> None:
        table = self._frequencies
        starts, ends = table.indptr[words], table.indptr[words + 1]
        spans = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        passages = np.concatenate([table.indices[span] for span in spans])
        sizes = ends - starts
        if self._alive is None:
            df = sizes.astype(np.float64)
        else:
            alive = np.concatenate([[0], np.cumsum(self._alive[passages])])
            df = np.diff(alive[np.concatenate([[0], np.cumsum(sizes)])]).astype(np.float64)
        rarity, saturation = self._variant
        idf = rarity(self._n, np.maximum(df, 1)).astype(np.float32)  # a word of dead passages alone counts for nobody
        tf = np.concatenate([table.data[span] for span in spans], dtype=np.float64)
        weights = (np.repeat(idf, sizes) * saturation(tf, self._norm[passages], self._k1, self._delta)).astype(
            np.float32
        )
        weights = np.maximum(weights, np.finfo(np.float32).tiny)
        for span, values in zip(spans, np.split(weights, np.cumsum(sizes)[:-1]), strict=True):
            self.values[span] = values
