"""A pipeline as a Haystack component, in Haystack's own pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

haystack = pytest.importorskip("haystack")

from rag import ConfigError, Document, Pipeline  # noqa: E402
from rag.integrations.haystack import PipelineRetriever, _condition  # noqa: E402
from rag.retrievers import BM25  # noqa: E402


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(retriever=BM25()).fit(
        [
            Document("fox", "The red fox sleeps.", {"year": 1990}),
            Document("wolf", "The wolf hunts the fox.", {"year": 2000}),
        ]
    )


def test_documents_are_the_hits(pipeline: Pipeline) -> None:
    documents = PipelineRetriever(pipeline).run("red fox", top_k=1)["documents"]
    [hit] = pipeline.search("red fox", top_k=1)
    assert [(d.id, d.content, d.score, d.meta) for d in documents] == [
        ("fox", hit.passage, hit.score, hit.flat_metadata)
    ]


def test_a_saved_pipeline_goes_through_haystacks_yaml(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.save(tmp_path / "index")
    flow = haystack.Pipeline()
    flow.add_component(
        "retriever", PipelineRetriever(str(tmp_path / "index"), top_k=1, filters={"year": {"gte": 2000}})
    )
    again = haystack.Pipeline.loads(flow.dumps(), allowed_modules=["rag.integrations.haystack"])
    documents = again.run({"retriever": {"query": "fox"}})["retriever"]["documents"]
    assert [document.id for document in documents] == ["wolf"]


def test_a_pipeline_object_is_not_serialized(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="pipeline: must be the folder of a saved pipeline"):
        PipelineRetriever(pipeline).to_dict()


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"field": "meta.year", "operator": ">=", "value": 3}, {"year": {"gte": 3}}),
        ({"field": "id", "operator": "not in", "value": ["a"]}, {"id": {"nin": ["a"]}}),
        (
            {
                "operator": "OR",
                "conditions": [
                    {"field": "meta.a", "operator": "==", "value": 1},
                    {"operator": "NOT", "conditions": [{"field": "b", "operator": "!=", "value": 2}]},
                ],
            },
            {"or": [{"a": {"eq": 1}}, {"not": {"and": [{"b": {"ne": 2}}]}}]},
        ),
        ({"year": 3}, {"year": 3}),
        (None, None),
    ],
)
def test_both_grammars_of_filters(filters: dict[str, object] | None, condition: dict[str, object] | None) -> None:
    assert _condition(filters) == condition


@pytest.mark.parametrize(
    "filters", [{"operator": "XOR", "conditions": []}, {"field": "a", "operator": "~", "value": 1}, {"operator": "=="}]
)
def test_other_filters_are_refused(filters: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="filters"):
        _condition(filters)
