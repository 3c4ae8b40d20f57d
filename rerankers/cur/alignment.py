"""Putting a scorer on an encoder's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rag.errors import ConfigError
from rag.rerankers.base import Scorer
from rag.rerankers.blend import training_sample
from rag.rerankers.cur.factors import Factors

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["aligned"]

_QUERIES, _CANDIDATES = 100, 16
"""Training queries, as in the paper, and passages of each: 1,600 calls."""


def aligned(context: FitContext, scorer: Scorer, factors: Factors) -> tuple[float, float]:
    """``(alpha, beta)`` such that ``beta (score - alpha)`` is nearest to the encoder's inner product (AXN), for
    passages spread evenly over the lists of training queries.

    Raises:
        ConfigError: The factors have no vectors for queries, or scorer and encoder do not rise together.
    """
    batch, candidates = training_sample(context, _QUERIES)
    own = factors.query_vectors(batch)
    if own is None:
        raise ConfigError(
            f"'training' needs factors with vectors for queries, which {factors.spec.label} have not",
            parameter="alignment",
        )
    columns = np.unique(np.linspace(0, candidates.documents.shape[1] - 1, _CANDIDATES).astype(np.int64))
    rows, picked = np.nonzero(candidates.mask[:, columns])
    passages = candidates.passages[:, columns][rows, picked]
    scores = scorer.score(batch, rows, passages).astype(np.float64)
    near = np.einsum("ij,ij->i", own[rows], factors.vectors[passages]).astype(np.float64)
    beta, level = np.polyfit(scores, near, 1) if len(scores) and np.ptp(scores) > 0 else (0.0, 0.0)
    if beta <= 0:
        raise ConfigError(
            "'training': the scorer's scores do not rise with the encoder's, so no line maps one to the other",
            parameter="alignment",
        )
    return -float(level / beta), float(beta)
