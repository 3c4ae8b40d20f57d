"""Tests that every component must pass, for authors of components: subclass and say how to make one.

::

    from rag.testing import RetrieverConformance

    class TestMine(RetrieverConformance):
        def make(self) -> MyRetriever:
            return MyRetriever(depth=3)

pytest finds the inherited tests. They need the ``test`` extra; this module itself imports no test library.
"""

from __future__ import annotations

from rag.testing.candidates import check_candidates
from rag.testing.chunker import ChunkerConformance
from rag.testing.component import ComponentConformance
from rag.testing.embedder import EmbedderConformance
from rag.testing.reader import ReaderConformance
from rag.testing.retriever import RetrieverConformance
from rag.testing.stage import StageConformance

__all__ = [
    "ChunkerConformance",
    "ComponentConformance",
    "EmbedderConformance",
    "ReaderConformance",
    "RetrieverConformance",
    "StageConformance",
    "check_candidates",
]
