"""First-stage search: BM25, dense vectors over an index, and several of them fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.retrievers.bm25 import BM25
    from rag.retrievers.centroid_interaction import CentroidInteraction
    from rag.retrievers.decomposed import Decomposed
    from rag.retrievers.dense import Dense
    from rag.retrievers.feedback import Feedback
    from rag.retrievers.fusion.base import Fusion
    from rag.retrievers.fusion.learned import Learned
    from rag.retrievers.fusion.min_max import MinMax
    from rag.retrievers.fusion.rrf import RRF
    from rag.retrievers.fusion.z_score import ZScore
    from rag.retrievers.graph_rank import GraphRank
    from rag.retrievers.hybrid import Hybrid
    from rag.retrievers.indexes.auto import Auto
    from rag.retrievers.indexes.base import Index
    from rag.retrievers.indexes.factory import Factory
    from rag.retrievers.indexes.flat import Flat
    from rag.retrievers.indexes.hnsw import HNSW
    from rag.retrievers.indexes.ivf_fastscan import IVFFastScan
    from rag.retrievers.indexes.ivf_flat import IVFFlat
    from rag.retrievers.indexes.ivf_pq import IVFPQ
    from rag.retrievers.indexes.lsh import LSH
    from rag.retrievers.indexes.milvus.index import Milvus
    from rag.retrievers.indexes.nsg import NSG
    from rag.retrievers.indexes.pgvector import PgVector
    from rag.retrievers.indexes.rabitq import RaBitQ
    from rag.retrievers.indexes.scalar_quantized import ScalarQuantized
    from rag.retrievers.indexes.sharded import Sharded
    from rag.retrievers.indexes.truncate import Truncate
    from rag.retrievers.indexes.window_tree import WindowTree
    from rag.retrievers.key_spaces.base import Key
    from rag.retrievers.key_spaces.image import ImageKey
    from rag.retrievers.key_spaces.summary import PseudoQueriesKey, SummaryKey
    from rag.retrievers.key_spaces.text import TextKey
    from rag.retrievers.key_spaces.title import TitleKey
    from rag.retrievers.keyed import Keyed
    from rag.retrievers.late_interaction import LateInteraction
    from rag.retrievers.milvus_bm25 import MilvusBM25
    from rag.retrievers.query_memory import QueryMemory
    from rag.retrievers.run import Run
    from rag.retrievers.sparse import Sparse

__all__ = [
    "BM25",
    "HNSW",
    "IVFPQ",
    "LSH",
    "NSG",
    "RRF",
    "Auto",
    "CentroidInteraction",
    "Decomposed",
    "Dense",
    "Factory",
    "Feedback",
    "Flat",
    "Fusion",
    "GraphRank",
    "Hybrid",
    "IVFFastScan",
    "IVFFlat",
    "ImageKey",
    "Index",
    "Key",
    "Keyed",
    "LateInteraction",
    "Learned",
    "Milvus",
    "MilvusBM25",
    "MinMax",
    "PgVector",
    "PseudoQueriesKey",
    "QueryMemory",
    "RaBitQ",
    "Run",
    "ScalarQuantized",
    "Sharded",
    "Sparse",
    "SummaryKey",
    "TextKey",
    "TitleKey",
    "Truncate",
    "WindowTree",
    "ZScore",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "BM25": "rag.retrievers.bm25",
        "CentroidInteraction": "rag.retrievers.centroid_interaction",
        "Decomposed": "rag.retrievers.decomposed",
        "Dense": "rag.retrievers.dense",
        "Factory": "rag.retrievers.indexes.factory",
        "Feedback": "rag.retrievers.feedback",
        "Flat": "rag.retrievers.indexes.flat",
        "Fusion": "rag.retrievers.fusion.base",
        "GraphRank": "rag.retrievers.graph_rank",
        "HNSW": "rag.retrievers.indexes.hnsw",
        "Auto": "rag.retrievers.indexes.auto",
        "IVFFlat": "rag.retrievers.indexes.ivf_flat",
        "IVFPQ": "rag.retrievers.indexes.ivf_pq",
        "IVFFastScan": "rag.retrievers.indexes.ivf_fastscan",
        "LSH": "rag.retrievers.indexes.lsh",
        "NSG": "rag.retrievers.indexes.nsg",
        "Milvus": "rag.retrievers.indexes.milvus.index",
        "MilvusBM25": "rag.retrievers.milvus_bm25",
        "PgVector": "rag.retrievers.indexes.pgvector",
        "RaBitQ": "rag.retrievers.indexes.rabitq",
        "Run": "rag.retrievers.run",
        "ScalarQuantized": "rag.retrievers.indexes.scalar_quantized",
        "Sharded": "rag.retrievers.indexes.sharded",
        "Truncate": "rag.retrievers.indexes.truncate",
        "WindowTree": "rag.retrievers.indexes.window_tree",
        "Hybrid": "rag.retrievers.hybrid",
        "Index": "rag.retrievers.indexes.base",
        "Key": "rag.retrievers.key_spaces.base",
        "Keyed": "rag.retrievers.keyed",
        "LateInteraction": "rag.retrievers.late_interaction",
        "Learned": "rag.retrievers.fusion.learned",
        "MinMax": "rag.retrievers.fusion.min_max",
        "PseudoQueriesKey": "rag.retrievers.key_spaces.summary",
        "QueryMemory": "rag.retrievers.query_memory",
        "RRF": "rag.retrievers.fusion.rrf",
        "Sparse": "rag.retrievers.sparse",
        "SummaryKey": "rag.retrievers.key_spaces.summary",
        "TextKey": "rag.retrievers.key_spaces.text",
        "ImageKey": "rag.retrievers.key_spaces.image",
        "TitleKey": "rag.retrievers.key_spaces.title",
        "ZScore": "rag.retrievers.fusion.z_score",
    },
)
