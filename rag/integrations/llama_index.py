"""A pipeline as a LlamaIndex retriever.

::

    from llama_index.core.query_engine import RetrieverQueryEngine
    from rag.integrations.llama_index import PipelineRetriever

    engine = RetrieverQueryEngine.from_args(PipelineRetriever(Pipeline.load("index"), top_k=5), llm=...)
"""

from __future__ import annotations

import asyncio
from typing import Any

from rag.conditions import Condition, check_condition
from rag.errors import MissingExtraError
from rag.pipeline import Pipeline
from rag.types import Hit

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ModuleNotFoundError:
    raise MissingExtraError("a LlamaIndex retriever", package="llama-index-core", extra="llama-index") from None

__all__ = ["PipelineRetriever"]


class PipelineRetriever(BaseRetriever):  # type: ignore[misc, unused-ignore]
    """Answers with nodes: the passage as text, with its offsets in the document and the metadata of the hit.

    Args:
        pipeline: A fitted pipeline.
        top_k: Maximum number of nodes; None takes all that the last stage returns.
        filter: Condition on the metadata of documents: see :mod:`rag.conditions`.
        llama_index: Arguments of any LlamaIndex retriever, such as ``callback_manager``.

    Raises:
        ConfigError: The filter is no condition.
    """

    def __init__(
        self, pipeline: Pipeline, *, top_k: int | None = None, filter: Condition | None = None, **llama_index: Any
    ) -> None:
        super().__init__(**llama_index)
        self._pipeline = pipeline
        self._top_k = top_k
        self._filter = None if filter is None else check_condition(filter)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        result = self._pipeline.search(query_bundle.query_str, top_k=self._top_k, filter=self._filter, answer=False)
        return [_node(hit) for hit in result]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: Hit) -> NodeWithScore:
    node = TextNode(
        id_=hit.document.id,
        text=hit.passage,
        metadata=hit.flat_metadata,
        start_char_idx=hit.start,
        end_char_idx=hit.end,
    )
    return NodeWithScore(node=node, score=hit.score)
