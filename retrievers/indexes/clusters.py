"""Common parts of indexes over k-means clusters (inverted files)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rag.candidates import Vectors
from rag.errors import ConfigError
from rag.retrievers.indexes.subset import Subset
from rag.store.spill import blocks

__all__ = ["clusters_for", "probe_cost", "probe_parameters", "repeated", "sampled", "trained_quietly"]

POINTS_PER_CLUSTER = 39
"""faiss warns below this: clusters from fewer training vectors are poor."""

_SAMPLE_PER_CLUSTER = 64
_TRAINED = 200_000
"""Vectors that training looks at, beyond which a table is sampled. faiss itself takes up to 256 for each cluster."""

_CHECK = 0.03
"""What looking up whether a key is allowed costs, in comparisons of full vectors one by one."""


def clusters_for(n: int, asked: int | None, label: str) -> int:
    """Number of clusters for n vectors: 4 sqrt(n), but no more than give every cluster 39 vectors, unless asked.

    Raises:
        ConfigError: More are asked for than there are vectors.
    """
    if asked is not None and asked > n:
        raise ConfigError(
            f"{label}: n_clusters must be at most the number of vectors ({n}), got {asked}", parameter="n_clusters"
        )
    return asked or max(1, min(round(4 * math.sqrt(n)), n // POINTS_PER_CLUSTER))


def trained_quietly(ivf: Any, vectors: Vectors, wrapper: Any = None) -> Any:
    """Train an inverted file, or what is wrapped around it. Small corpora are fine: faiss need not say otherwise."""
    ivf.cp.min_points_per_centroid = 1
    (wrapper or ivf).train(sampled(vectors, ivf.nlist))
    return wrapper or ivf


def sampled(vectors: Vectors, n_clusters: int) -> Vectors:
    """Vectors to train with: all, or so many of a large table that every cluster has enough of them."""
    n = max(_TRAINED, _SAMPLE_PER_CLUSTER * n_clusters)
    if len(vectors) <= n:
        return vectors
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), n, replace=False))
    # By blocks: rows from all over a mapped table would bring all of it into memory.
    return np.concatenate(
        [
            block[rows[slice(*np.searchsorted(rows, (first, first + len(block))))] - first]
            for first, block in blocks(vectors)
        ]
    )


def repeated(vectors: Vectors, least: int) -> Vectors:
    """Training vectors for ``least`` codes: faiss wants no fewer, and two codes for one vector do no harm."""
    return vectors if len(vectors) >= least else np.resize(vectors, (least, vectors.shape[1]))


def probe_parameters(n_probe: int | None, n_clusters: int, subset: Subset | None) -> Any:
    """Search parameters: the number of clusters to search, and the keys allowed.

    Within a subset more clusters are: its nearest keys lie further away, and few keys of a cluster need comparing.
    """
    import faiss

    if subset is None:
        return faiss.SearchParametersIVF(nprobe=_probes(n_probe, n_clusters, 1.0))
    return faiss.SearchParametersIVF(nprobe=_probes(n_probe, n_clusters, subset.fraction), sel=subset.selector)


def probe_cost(n_probe: int | None, n_clusters: int, subset: Subset, comparison: float = 1.0) -> float:
    """What a query costs then, in comparisons of full vectors, when comparing a code costs ``comparison`` of those."""
    visited = subset.n * _probes(n_probe, n_clusters, subset.fraction) / n_clusters
    return n_clusters + visited * (_CHECK + subset.fraction * comparison)


def _probes(n_probe: int | None, n_clusters: int, fraction: float) -> int:
    # 6 sqrt: recall@10 of sentence embeddings near .98 (measured); a lesser share of more clusters is enough.
    usual = n_probe or round(6 * math.sqrt(n_clusters))
    return min(n_clusters, math.ceil(usual / max(fraction, 1e-9)))
