"""Anchor items: those that are scored for every query, chosen once."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rag.candidates import Ints, Vectors
from rag.errors import ConfigError

__all__ = ["Choice", "choose_anchors"]

Choice = Literal["random", "k_means", "l2_greedy"]


def choose_anchors(vectors: Vectors, how: Choice, count: int, *, seed: int = 0) -> Ints:
    """Items that stand for all others, int64 [count], each once.

    Args:
        vectors: Vectors of all items, float32 [n, d].
        how: ``random``: uniform without replacement. ``k_means``: nearest to the centers of ``count`` clusters.
            ``l2_greedy``: each the one that the items before explain worst (the largest residual after projection on
            their span, as in QR with column pivoting); when nothing is left to explain, random ones.
        count: Number of anchors.
        seed: For everything random.

    Raises:
        ConfigError: More than there are items.
    """
    n = len(vectors)
    if count > n:
        raise ConfigError(
            f"{count} anchor items were requested, and there are {n} passages: lower it", parameter="anchors"
        )
    rng = np.random.default_rng(seed)
    chosen = _CHOICES[how](vectors, count, rng) if how in _CHOICES else np.empty(0, dtype=np.int64)
    others = rng.permutation(np.setdiff1d(np.arange(n), chosen))
    return np.concatenate([chosen, others])[:count].astype(np.int64)


def _k_means(vectors: Vectors, count: int, rng: np.random.Generator) -> Ints:
    import faiss

    means = faiss.Kmeans(
        vectors.shape[1], count, niter=20, seed=int(rng.integers(1 << 30)), min_points_per_centroid=1, verbose=False
    )
    points = np.ascontiguousarray(vectors, dtype=np.float32)
    means.train(points)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(points)
    _, nearest = index.search(means.centroids, 1)
    return np.unique(nearest[:, 0])


def _l2_greedy(vectors: Vectors, count: int, rng: np.random.Generator) -> Ints:
    left = np.asarray(vectors, dtype=np.float64)
    squares = np.einsum("ij,ij->i", left, left)
    basis = np.empty((0, vectors.shape[1]))
    enough = 1e-10 * squares.max(initial=0.0)
    chosen: list[int] = []
    while len(chosen) < count:
        worst = int(squares.argmax())
        if squares[worst] <= enough:
            break
        direction = left[worst] - basis.T @ (basis @ left[worst])
        direction -= basis.T @ (basis @ direction)  # once more: what rounding left
        direction /= np.linalg.norm(direction)
        basis = np.vstack([basis, direction])
        squares = np.maximum(squares - (left @ direction) ** 2, 0)
        squares[worst] = 0.0
        chosen.append(worst)
    return np.asarray(chosen, dtype=np.int64)


_CHOICES = {"k_means": _k_means, "l2_greedy": _l2_greedy}
