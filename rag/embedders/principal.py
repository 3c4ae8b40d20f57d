"""The directions in which vectors are longest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rag.candidates import Vectors

__all__ = ["largest_directions", "principal_directions", "second_moment"]

Doubles = npt.NDArray[np.float64]

_SAMPLE = 100_000
"""Vectors whose directions are taken."""


def principal_directions(vectors: Vectors, width: int) -> Vectors:
    """Orthonormal directions that keep most of the vectors' lengths, without centering, which would change inner
    products: float32 [d, width].

    Args:
        vectors: float16 or float32 [n, d]; of many, evenly spaced ones are looked at.
        width: How many directions.
    """
    return largest_directions(second_moment(vectors), width)


def second_moment(vectors: Vectors) -> Doubles:
    """Sum of the outer products of vectors, of many an even sample: float64 [d, d]."""
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
    return np.asarray(sample.T @ sample, dtype=np.float64)


def largest_directions(symmetric: Doubles, width: int) -> Vectors:
    """Eigenvectors of the largest eigenvalues of a symmetric matrix [d, d], the largest first: float32 [d, width]."""
    _, directions = np.linalg.eigh(symmetric)
    return np.ascontiguousarray(directions[:, ::-1][:, :width], dtype=np.float32)
