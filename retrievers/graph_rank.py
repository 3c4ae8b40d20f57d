"""A retriever that walks from what another finds to what is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.candidates import Candidates
from rag.component import Inherited, Tunable
from rag.embedders.base import Embedder
from rag.graph_walk import WalksGraph
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GraphRank"]


class GraphRank(WalksGraph, Retriever):
    """Searches with another retriever and walks the graph of nearest neighbors from its best documents: the stage
    ``graph_rank`` as a retriever, so that a ``hybrid`` or ``learned_rank`` can have the walk as a list of its own.

    Args:
        retriever: Gives the list that the walk begins at.
        embedder: Gives the vectors that tell who is near; the pipeline's retriever's, when none is given.
        neighbours: Edges of each passage in the graph.
        seeds: Documents that the walk begins at, by their scores.
        restart: Probability of returning to them at every step: high values stay near.
        hubs: How much it counts against a passage to have many edges, 0 to 1.
        relevance_weight: Weight of the list's scores against the walk, 0 to 1; 0 returns the walk alone.
        top_k: Documents returned.
    """

    type = "graph_rank"

    def __init__(
        self,
        *,
        retriever: Retriever,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        neighbours: Annotated[int, Field(ge=1, le=1024)] = 16,
        seeds: Annotated[int, Field(ge=1), Tunable(choices=(5, 10, 20), gain=0.002)] = 10,
        restart: Annotated[float, Field(gt=0, le=1), Tunable(choices=(0.3, 0.5, 0.7), gain=0.002)] = 0.5,
        hubs: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.0, 0.5, 1.0), gain=0.001)] = 0.5,
        relevance_weight: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.5, 0.7, 0.9), gain=0.003)] = 0.7,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.retriever = retriever
        self.embedder = embedder
        self.neighbours = neighbours
        self.seeds = seeds
        self.restart = restart
        self.hubs = hubs
        self.relevance_weight = relevance_weight
        self.top_k = top_k

    def retrieve(self, batch: QueryBatch) -> Candidates:
        part = batch.for_part("first")
        first = part.found_by(self.retriever)
        part.record(part.step.name, first)
        return self.walked(batch, first)
