"""The directions in which vectors are longest."""

from __future__ import annotations

import numpy as np

from rag.candidates import Vectors

__all__ = ["principal_directions"]

_SAMPLE = 100_000
"""Vectors whose directions are taken."""


def principal_directions(vectors: Vectors, width: int) -> Vectors:
    """Orthonormal directions that keep most of the vectors' lengths, without centering, which would change inner
    products: float32 [d, width].

    Args:
        vectors: float16 or float32 [n, d]; of many, evenly spaced ones are looked at.
        width: How many directions.
    """
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(directions[:, ::-1][:, :width], dtype=np.float32)
