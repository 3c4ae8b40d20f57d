"""First-stage search: BM25, dense vectors over an index, and several of them fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from retrievers.bm25 import BM25
    from retrievers.dense import Dense
    from retrievers.feedback import Feedback
    from retrievers.fusion.base import Fusion
    from retrievers.fusion.learned import Learned
    from retrievers.fusion.min_max import MinMax
    from retrievers.fusion.rrf import RRF
    from retrievers.fusion.z_score import ZScore
    from retrievers.hybrid import Hybrid
    from retrievers.indexes.auto import Auto
    from retrievers.indexes.base import Index
    from retrievers.indexes.factory import Factory
    from retrievers.indexes.flat import Flat
    from retrievers.indexes.hnsw import HNSW
    from retrievers.indexes.ivf_fastscan import IVFFastScan
    from retrievers.indexes.ivf_flat import IVFFlat
    from retrievers.indexes.ivf_pq import IVFPQ
    from retrievers.indexes.lsh import LSH
    from retrievers.indexes.nsg import NSG
    from retrievers.indexes.rabitq import RaBitQ
    from retrievers.indexes.scalar_quantized import ScalarQuantized
    from retrievers.indexes.truncate import Truncate
    from retrievers.key_spaces.base import Key
    from retrievers.key_spaces.summary import PseudoQueriesKey, SummaryKey
    from retrievers.key_spaces.text import TextKey
    from retrievers.key_spaces.title import TitleKey
    from retrievers.keyed import Keyed
    from retrievers.query_memory import QueryMemory

__all__ = [
    "BM25",
    "HNSW",
    "IVFPQ",
    "LSH",
    "NSG",
    "RRF",
    "Auto",
    "Dense",
    "Factory",
    "Feedback",
    "Flat",
    "Fusion",
    "Hybrid",
    "IVFFastScan",
    "IVFFlat",
    "Index",
    "Key",
    "Keyed",
    "Learned",
    "MinMax",
    "PseudoQueriesKey",
    "QueryMemory",
    "RaBitQ",
    "ScalarQuantized",
    "SummaryKey",
    "TextKey",
    "TitleKey",
    "Truncate",
    "ZScore",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "BM25": "retrievers.bm25",
        "Dense": "retrievers.dense",
        "Factory": "retrievers.indexes.factory",
        "Feedback": "retrievers.feedback",
        "Flat": "retrievers.indexes.flat",
        "Fusion": "retrievers.fusion.base",
        "HNSW": "retrievers.indexes.hnsw",
        "Auto": "retrievers.indexes.auto",
        "IVFFlat": "retrievers.indexes.ivf_flat",
        "IVFPQ": "retrievers.indexes.ivf_pq",
        "IVFFastScan": "retrievers.indexes.ivf_fastscan",
        "LSH": "retrievers.indexes.lsh",
        "NSG": "retrievers.indexes.nsg",
        "RaBitQ": "retrievers.indexes.rabitq",
        "ScalarQuantized": "retrievers.indexes.scalar_quantized",
        "Truncate": "retrievers.indexes.truncate",
        "Hybrid": "retrievers.hybrid",
        "Index": "retrievers.indexes.base",
        "Key": "retrievers.key_spaces.base",
        "Keyed": "retrievers.keyed",
        "Learned": "retrievers.fusion.learned",
        "MinMax": "retrievers.fusion.min_max",
        "PseudoQueriesKey": "retrievers.key_spaces.summary",
        "QueryMemory": "retrievers.query_memory",
        "RRF": "retrievers.fusion.rrf",
        "SummaryKey": "retrievers.key_spaces.summary",
        "TextKey": "retrievers.key_spaces.text",
        "TitleKey": "retrievers.key_spaces.title",
        "ZScore": "retrievers.fusion.z_score",
    },
)
