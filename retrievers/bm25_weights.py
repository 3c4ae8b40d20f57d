"""Weights of BM25 from term frequencies: five variants of one formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.candidates import Bools, Floats

__all__ = ["VARIANTS", "bm25_weights"]

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


def bm25_weights(frequencies: Any, alive: Bools | None, *, variant: str, k1: float, b: float, delta: float) -> Floats:
    """Weight of every word in every passage that has it.

    Statistics (passages, passages with a word, mean length) are those of the living passages; the others get weights
    all the same, by these statistics.

    Args:
        frequencies: How often each word occurs in each passage, scipy CSR array [words, passages].
        alive: Which passages count, bool [passages]; None for all.
        variant: One of :data:`VARIANTS`.
        k1: How much repeating a word counts.
        b: How much long passages are penalized.
        delta: Lower bound of a word that occurs, in ``bm25l`` and ``bm25+``.

    Returns:
        float32, one for each stored frequency, in their order; above 0, if only just, also where a variant gives a word
        that most passages have no weight: whoever has it shares it. ``delta`` goes to passages with the word only (Lv
        and Zhai 2011); bm25s gives it to all.
    """
    n_passages = frequencies.shape[1]
    lengths = np.bincount(frequencies.indices, weights=frequencies.data, minlength=n_passages)
    if alive is None:
        n, df = n_passages, np.diff(frequencies.indptr).astype(np.float64)
        mean = lengths.mean()
    else:
        counted = np.concatenate([[0], np.cumsum(alive[frequencies.indices])])
        n, df = int(alive.sum()), np.diff(counted[frequencies.indptr]).astype(np.float64)
        mean = lengths[alive].mean() if n else 0.0
    rarity, saturation = VARIANTS[variant]
    idf = rarity(n, np.maximum(df, 1)).astype(np.float32)  # a word of dead passages alone counts for nobody
    norm = 1 - b + b * lengths / (mean or 1.0)
    weights = saturation(frequencies.data.astype(np.float64), norm[frequencies.indices], k1, delta)
    weighted = (np.repeat(idf, np.diff(frequencies.indptr)) * weights).astype(np.float32)
    return np.maximum(weighted, np.finfo(np.float32).tiny)
