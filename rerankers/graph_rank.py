"""A stage that walks from good candidates to what is like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.candidates import Candidates
from rag.graph_walk import WalksGraph
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GraphRank"]


class GraphRank(WalksGraph, Stage):
    """Experimental (``feedback`` gained as much): walks the graph of nearest neighbors from the best candidates, with
    restarts (personalized PageRank, Haveliwala 2002; in retrieval HippoRAG, Gutierrez et al. 2024), and blends where
    the walk arrives with the candidates' scores: documents near several good candidates rise, or join the list.

    Takes time in proportion to the number of passages. Scores are from 0 to 1.
    """

    type = "graph_rank"

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        return self.walked(batch, candidates)
