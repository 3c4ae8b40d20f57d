"""A pipeline as a LlamaIndex retriever, against LlamaIndex itself."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Settings  # noqa: E402
from llama_index.core.llms import MockLLM  # noqa: E402
from llama_index.core.query_engine import RetrieverQueryEngine  # noqa: E402
from llama_index.core.response_synthesizers import get_response_synthesizer  # noqa: E402

from rag import ConfigError, Document, Pipeline  # noqa: E402
from rag.integrations.llama_index import PipelineRetriever  # noqa: E402
from rag.retrievers import BM25  # noqa: E402


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(retriever=BM25()).fit(
        [
            Document("fox", "The red fox sleeps.", {"year": 1990}),
            Document("wolf", "The wolf hunts the fox.", {"year": 2000}),
        ]
    )


def test_nodes_are_the_hits(pipeline: Pipeline) -> None:
    nodes = PipelineRetriever(pipeline, top_k=2).retrieve("red fox")
    hits = pipeline.search("red fox", top_k=2)
    assert [(node.node_id, node.text, node.score) for node in nodes] == [
        (hit.document.id, hit.passage, hit.score) for hit in hits
    ]
    assert nodes[0].metadata == hits[0].flat_metadata
    assert nodes[0].node.get_node_info() == {"start": 0, "end": 19}


async def test_awaited_and_filtered(pipeline: Pipeline) -> None:
    nodes = await PipelineRetriever(pipeline, filter={"year": {"gte": 2000}}).aretrieve("fox")
    assert [node.node_id for node in nodes] == ["wolf"]


def test_a_wrong_filter_is_refused_at_once(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError):
        PipelineRetriever(pipeline, filter={"year": {"above": 3}})


def test_in_a_query_engine_without_a_model(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    synthesizer = get_response_synthesizer(response_mode="no_text", llm=MockLLM())
    engine = RetrieverQueryEngine(PipelineRetriever(pipeline, top_k=1), response_synthesizer=synthesizer)
    assert [node.node_id for node in engine.query("red fox").source_nodes] == ["fox"]
