"""Finding components by their names."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from rag import ConfigError, Embedder, Pipeline, Retriever, Stage, registry
from rag.registry import component_class, contract_of, kinds, types_of
from rag.retrievers import BM25, Index


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these entry points are all there are."""

    def install(*pairs):
        entries = [EntryPoint(name, value, registry.GROUP) for name, value in pairs]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "rag.components" else [])
        registry._entries.cache_clear()

    yield install
    registry._entries.cache_clear()


def test_what_is_registered():
    assert {"chunker", "embedder", "fusion", "index", "pipeline", "retriever", "scorer", "stage"} <= set(kinds())
    assert {"distribution", "sampler", "sweep"} <= set(kinds())
    assert {"key", "query", "student", "summarizer"} <= set(kinds())
    assert {"bm25", "dense", "hybrid", "keyed", "late_interaction", "sparse"} <= set(types_of("retriever"))
    assert types_of("no such") == []
    assert (BM25, Pipeline) == (component_class("retriever", "bm25"), component_class("pipeline", "pipeline"))


def test_contracts_are_what_all_of_a_kind_share():
    assert [contract_of(kind) for kind in ("embedder", "index", "retriever", "stage")] == [
        Embedder,
        Index,
        Retriever,
        Stage,
    ]
    with pytest.raises(ConfigError, match="unknown kind 'retreiver'; did you mean 'retriever'"):
        contract_of("retreiver")


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (
            "retriever",
            "bm52",
            f"type: unknown retriever 'bm52'; did you mean 'bm25'? (valid: {', '.join(types_of('retriever'))})",
        ),
        (
            "stage",
            "bm25",
            f"type: unknown stage 'bm25' ('bm25' is a retriever) (valid: {', '.join(types_of('stage'))})",
        ),
        ("nothing", "bm25", "type: unknown nothing 'bm25' ('bm25' is a retriever)"),
    ],
)
def test_unknown_names(kind, name, expected):
    with pytest.raises(ConfigError) as caught:
        component_class(kind, name)
    assert str(caught.value) == expected


def test_one_component_may_be_registered_twice_but_not_two_under_one_name(installed):
    installed(("retriever.a", "rag.retrievers.bm25:BM25"), ("retriever.a", "rag.retrievers.bm25:BM25"))
    assert types_of("retriever") == ["a"]
    installed(("retriever.a", "rag.retrievers.bm25:BM25"), ("retriever.a", "rag.retrievers.dense:Dense"))
    assert types_of("retriever") == ["a"]
    with pytest.raises(
        ConfigError, match="two packages register the component 'retriever.a': rag.retrievers.bm25:BM25 and"
    ):
        component_class("retriever", "a")


def test_an_entry_point_without_a_kind_costs_only_itself(installed, caplog):
    installed(("bm25", "rag.retrievers.bm25:BM25"), ("retriever.bm25", "rag.retrievers.bm25:BM25"))
    assert kinds() == ["retriever"]
    assert component_class("retriever", "bm25") is BM25
    assert caplog.messages == [
        "entry point 'bm25' of group rag.components in an unknown package is ignored: the name must be 'kind.type'"
    ]


def test_arguments_without_a_type_are_one_message(installed):
    installed(("stage.untyped", "tests.unit.rag.test_registry:Untyped"))
    with pytest.raises(ConfigError) as caught:
        component_class("stage", "untyped")
    assert str(caught.value) == (
        "the stage 'untyped' (tests.unit.rag.test_registry:Untyped) cannot be used: Untyped.__init__: argument "
        "'weight' has no type"
    )


class Untyped(Stage):
    """Has an argument without a type."""

    type = "untyped"

    def __init__(self, *, weight=1):
        self.weight = weight

    def process(self, batch, candidates):
        return candidates


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("retriever.x", "no_such_module:X", "cannot be imported: No module named 'no_such_module'"),
        (
            "retriever.x",
            "rag.retrievers.bm25:X",
            "cannot be imported: module 'rag.retrievers.bm25' has no attribute 'X'",
        ),
        ("retriever.x", "rag.retrievers.bm25:BM25", "is not a component with kind 'retriever' and type 'x'"),
        ("stage.bm25", "rag.retrievers.bm25:BM25", "is not a component with kind 'stage' and type 'bm25'"),
        ("retriever.x", "rag.retrievers.keys:best_documents", "is not a component with kind 'retriever' and type 'x'"),
        ("retriever.x", "rag.retrievers.bm25:np", "is not a component with kind 'retriever' and type 'x'"),
    ],
)
def test_entry_points_that_lead_nowhere(installed, name, value, expected):
    installed((name, value))
    with pytest.raises(ConfigError) as caught:
        component_class(*name.split("."))
    assert expected in str(caught.value)
    assert value in str(caught.value)
