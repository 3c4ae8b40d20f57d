"""Second-stage scoring: scorers that read query and passage together, and the stages that spend them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rerankers.base import Scorer
    from rerankers.cross_encoder import CrossEncoderScorer
    from rerankers.max_sim import MaxSim
    from rerankers.rerank import Rerank

__all__ = ["CrossEncoderScorer", "MaxSim", "Rerank", "Scorer"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "CrossEncoderScorer": "rerankers.cross_encoder",
        "MaxSim": "rerankers.max_sim",
        "Rerank": "rerankers.rerank",
        "Scorer": "rerankers.base",
    },
)
