"""Second-stage scoring: scorers that read query and passage together, and the stages that spend them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.rerankers.base import Scorer
    from rag.rerankers.callable import CallableScorer
    from rag.rerankers.cascade import Cascade
    from rag.rerankers.cross_encoder import CrossEncoderScorer
    from rag.rerankers.cur.anchor_queries import AnchorQueryFactors
    from rag.rerankers.cur.factors import EmbeddingFactors, Factors
    from rag.rerankers.cur.matrix_factorisation import MatrixFactorization
    from rag.rerankers.cur.presets import ADACUR, ANNCUR, AXN
    from rag.rerankers.cur.stage import CUR
    from rag.rerankers.distilled.scorer import DistilledScorer
    from rag.rerankers.diversity.dpp import DPP
    from rag.rerankers.diversity.facility_location import FacilityLocation
    from rag.rerankers.diversity.mmr import MMR
    from rag.rerankers.fine_tuned.embedder import FineTunedEmbedder
    from rag.rerankers.fine_tuned.scorer import FineTunedScorer
    from rag.rerankers.fine_tuned.token_head import TokenHead
    from rag.rerankers.graph_adaptive import GraphAdaptive
    from rag.rerankers.graph_rank import GraphRank
    from rag.rerankers.learned_rank.stage import LearnedRank
    from rag.rerankers.max_sim import MaxSim
    from rag.rerankers.rerank import Rerank

__all__ = [
    "ADACUR",
    "ANNCUR",
    "AXN",
    "CUR",
    "DPP",
    "MMR",
    "AnchorQueryFactors",
    "CallableScorer",
    "Cascade",
    "CrossEncoderScorer",
    "DistilledScorer",
    "EmbeddingFactors",
    "FacilityLocation",
    "Factors",
    "FineTunedEmbedder",
    "FineTunedScorer",
    "GraphAdaptive",
    "GraphRank",
    "LearnedRank",
    "MatrixFactorization",
    "MaxSim",
    "Rerank",
    "Scorer",
    "TokenHead",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ADACUR": "rag.rerankers.cur.presets",
        "ANNCUR": "rag.rerankers.cur.presets",
        "AXN": "rag.rerankers.cur.presets",
        "AnchorQueryFactors": "rag.rerankers.cur.anchor_queries",
        "CallableScorer": "rag.rerankers.callable",
        "Cascade": "rag.rerankers.cascade",
        "CrossEncoderScorer": "rag.rerankers.cross_encoder",
        "DistilledScorer": "rag.rerankers.distilled.scorer",
        "DPP": "rag.rerankers.diversity.dpp",
        "FacilityLocation": "rag.rerankers.diversity.facility_location",
        "MMR": "rag.rerankers.diversity.mmr",
        "CUR": "rag.rerankers.cur.stage",
        "EmbeddingFactors": "rag.rerankers.cur.factors",
        "Factors": "rag.rerankers.cur.factors",
        "FineTunedEmbedder": "rag.rerankers.fine_tuned.embedder",
        "FineTunedScorer": "rag.rerankers.fine_tuned.scorer",
        "GraphAdaptive": "rag.rerankers.graph_adaptive",
        "GraphRank": "rag.rerankers.graph_rank",
        "LearnedRank": "rag.rerankers.learned_rank.stage",
        "MatrixFactorization": "rag.rerankers.cur.matrix_factorisation",
        "MaxSim": "rag.rerankers.max_sim",
        "Rerank": "rag.rerankers.rerank",
        "Scorer": "rag.rerankers.base",
        "TokenHead": "rag.rerankers.fine_tuned.token_head",
    },
)
