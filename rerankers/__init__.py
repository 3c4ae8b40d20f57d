"""Second-stage scoring: scorers that read query and passage together, and the stages that spend them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rerankers.base import Scorer
    from rerankers.callable import CallableScorer
    from rerankers.cross_encoder import CrossEncoderScorer
    from rerankers.cur.anchor_queries import AnchorQueryFactors
    from rerankers.cur.factors import EmbeddingFactors, Factors
    from rerankers.cur.matrix_factorisation import MatrixFactorisation
    from rerankers.cur.presets import ADACUR, ANNCUR, AXN
    from rerankers.cur.stage import Cur
    from rerankers.graph_adaptive import GraphAdaptive
    from rerankers.learned_rank.stage import LearnedRank
    from rerankers.max_sim import MaxSim
    from rerankers.rerank import Rerank

__all__ = [
    "ADACUR",
    "ANNCUR",
    "AXN",
    "AnchorQueryFactors",
    "CallableScorer",
    "CrossEncoderScorer",
    "Cur",
    "EmbeddingFactors",
    "Factors",
    "GraphAdaptive",
    "LearnedRank",
    "MatrixFactorisation",
    "MaxSim",
    "Rerank",
    "Scorer",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ADACUR": "rerankers.cur.presets",
        "ANNCUR": "rerankers.cur.presets",
        "AXN": "rerankers.cur.presets",
        "AnchorQueryFactors": "rerankers.cur.anchor_queries",
        "CallableScorer": "rerankers.callable",
        "CrossEncoderScorer": "rerankers.cross_encoder",
        "Cur": "rerankers.cur.stage",
        "EmbeddingFactors": "rerankers.cur.factors",
        "Factors": "rerankers.cur.factors",
        "GraphAdaptive": "rerankers.graph_adaptive",
        "LearnedRank": "rerankers.learned_rank.stage",
        "MatrixFactorisation": "rerankers.cur.matrix_factorisation",
        "MaxSim": "rerankers.max_sim",
        "Rerank": "rerankers.rerank",
        "Scorer": "rerankers.base",
    },
)
