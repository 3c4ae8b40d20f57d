"""A stage that walks from good candidates to what is like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.candidates import Candidates
from rag.component import Inherited, Tunable
from rag.embedders.base import Embedder
from rag.graph_walk import WalksGraph
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GraphRank"]


class GraphRank(WalksGraph, Stage):
    """Walks the graph of nearest neighbors from the best candidates, with restarts (personalized PageRank, Haveliwala
    2002; in retrieval HippoRAG, Gutierrez et al. 2024), and blends where the walk arrives with the candidates' scores:
    documents near several good candidates rise, or join the list.

    Takes time in proportion to the number of passages. Scores are from 0 to 1.

    Args:
        embedder: Gives the vectors that tell who is near; the retriever's, when none is given.
        neighbours: Edges of each passage in the graph, which is the same as that of ``graph_adaptive``.
        seeds: Candidates that the walk begins at, by their scores.
        restart: Probability of returning to them at every step: high values stay near.
        hubs: How much it counts against a passage to have many edges, 0 to 1: at 1 where the walk arrives is divided by
            the number of edges, which is where a walk without restarts would be.
        relevance_weight: Weight of the candidates' scores against the walk, 0 to 1; 1 keeps the list.
        top_k: Documents kept.
    """

    type = "graph_rank"

    def __init__(
        self,
        *,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        neighbours: Annotated[int, Field(ge=1, le=1024)] = 16,
        seeds: Annotated[int, Field(ge=1), Tunable(choices=(5, 10, 20), gain=0.002)] = 10,
        restart: Annotated[float, Field(gt=0, le=1), Tunable(choices=(0.3, 0.5, 0.7), gain=0.002)] = 0.5,
        hubs: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.0, 0.5, 1.0), gain=0.001)] = 0.5,
        relevance_weight: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.5, 0.7, 0.9), gain=0.003)] = 0.7,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.embedder = embedder
        self.neighbours = neighbours
        self.seeds = seeds
        self.restart = restart
        self.hubs = hubs
        self.relevance_weight = relevance_weight
        self.top_k = top_k

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        return self.walked(batch, candidates)
