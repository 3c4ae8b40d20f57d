"""A retriever that walks from what another finds to what is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.candidates import Candidates
from rag.component import Inherited
from rag.embedders.base import Embedder
from rag.graph_walk import Edges, Hubs, RelevanceWeight, Restart, Seeds, WalksGraph
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GraphRank"]


class GraphRank(WalksGraph, Retriever):
    """Experimental: searches with another retriever and walks the graph of nearest neighbors from its best documents:
    the stage ``graph_rank`` as a retriever, so that a ``hybrid`` or ``learned_rank`` can have the walk as a list of its
    own.

    Args:
        retriever: Gives the list that the walk begins at.
    """

    type = "graph_rank"

    def __init__(
        self,
        *,
        retriever: Retriever,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        neighbours: Edges = 16,
        seeds: Seeds = 10,
        restart: Restart = 0.5,
        hubs: Hubs = 0.5,
        relevance_weight: RelevanceWeight = 0.7,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        super().__init__(
            embedder=embedder,
            neighbours=neighbours,
            seeds=seeds,
            restart=restart,
            hubs=hubs,
            relevance_weight=relevance_weight,
            top_k=top_k,
        )
        self.retriever = retriever

    def retrieve(self, batch: QueryBatch) -> Candidates:
        part = batch.for_part("first")
        first = part.found_by(self.retriever)
        part.record(part.step.name, first)
        return self.walked(batch, first)
