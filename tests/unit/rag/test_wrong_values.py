"""Wrong values for every argument of every component, made from its annotation; in Python and in YAML.

What an annotation accepts is decided here a second time, by plain ``isinstance`` and comparisons.
"""

from __future__ import annotations

import collections.abc
import json
import math
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

from rag import LSA, ConfigError, ImageText, SentenceTransformerEmbedder, SparseTransformerEmbedder, Threshold
from rag.component import Component, Parameter
from rag.config import build, read_source
from rag.errors import Mistakes
from rag.eval.datasets.tables.corpus import CorpusTable
from rag.eval.datasets.tables.queries import QueriesTable
from rag.registry import component_class, kinds, types_of
from rag.rerankers import CrossEncoderScorer, EmbeddingFactors
from rag.retrievers import BM25, Dense, Flat, TextKey
from rag.summarizers import ChatModel, Precomputed
from tests.fakes import CountingScorer, WordEmbedder

COMPONENTS = [component_class(kind, name) for kind in kinds() for name in types_of(kind)]
PARAMETERS = [
    (cls, parameter)
    for cls in COMPONENTS
    for parameter in cls.spec.parameters.values()
    if parameter.annotation is not Any
]


class Embeddings:
    def embed_query(self, text):
        return [0.0]

    def embed_documents(self, texts):
        return [[0.0] for _ in texts]


class Chat:
    def invoke(self, input):
        return "x"

    def with_structured_output(self, schema):
        return self


OF_TOKENS = ("max_sim", "muvera", "late_interaction", "centroid_interaction", "pooled_tokens", "token_head")
"""Components that need token vectors."""

PYTHON_ONLY = ("callable", "langchain")

REQUIRED_IN_PYTHON: dict[tuple[str, str], Any] = {
    ("langchain", "embeddings"): Embeddings(),
    ("sentence_transformer", "model"): "some/model",
    ("cosine_adapter", "embedder"): LSA(),
    ("cross_encoder", "model"): "some/model",
    ("sparse", "model"): "some/model",
    ("adapted", "embedder"): LSA(),
    ("fine_tuned", "embedder"): SentenceTransformerEmbedder("some/model"),
    ("fine_tuned", "scorer"): CrossEncoderScorer("some/model"),
    ("factory", "description"): "Flat",
    ("pipeline", "retriever"): BM25(),
    ("dense", "embedder"): LSA(),
    ("sparse", "embedder"): SparseTransformerEmbedder("some/model"),
    ("hybrid", "retrievers"): [BM25(), BM25()],
    **{(name, "embedder"): WordEmbedder() for name in (*OF_TOKENS, "term_weights")},
    ("multi_vector", "model"): "some/model",
    ("static", "embedder"): LSA(),
    ("cascade", "first"): CountingScorer(),
    ("cascade", "second"): CountingScorer(),
    ("sharded", "shards"): 2,
    ("pgvector", "url"): "postgresql://localhost/x",
    ("pgvector", "table"): "passages",
    ("milvus", "uri"): "http://localhost:19530",
    ("milvus", "collection"): "passages",
    ("milvus_bm25", "uri"): "http://localhost:19530",
    ("milvus_bm25", "collection"): "passages",
    ("reduced", "embedder"): LSA(),
    ("reduced", "dimensions"): 4,
    ("rerank", "scorer"): CountingScorer(),
    ("distilled", "scorer"): CountingScorer(),
    ("int", "low"): 1,
    ("int", "high"): 2,
    ("float", "low"): 0.5,
    ("float", "high"): 1.5,
    ("categorical", "choices"): ["a", 1],
    ("choice", "options"): [{"type": "flat"}, 2],
    ("optional", "of"): 1,
    ("sweep", "pipeline"): {"type": "pipeline"},
    ("keyed", "keys"): [TextKey(retriever=BM25())],
    **{
        (name, "retriever"): BM25()
        for name in ("decomposed", "graph_rank", "text", "title", "summary", "pseudo_queries")
    },
    **{(name, "summarizer"): Precomputed("x.jsonl") for name in ("summary", "pseudo_queries", "hyde")},
    **{(name, "embedder"): LSA() for name in ("distilled", "extractive")},
    **{(name, "model"): "some/model" for name in ("fine_tune", "chat_model", "transformers")},
    ("image", "retriever"): Dense(embedder=ImageText("some/model")),
    ("image_text", "model"): "some/model",
    ("precomputed", "path"): "x.jsonl",
    ("run", "path"): "x.trec",
    ("generate", "writer"): ChatModel("some/model"),
    ("semantic_entropy", "writer"): ChatModel("some/model", temperature=1.0),
    ("claims", "model"): ChatModel("some/model"),
    ("callable", "function"): len,
    ("embeddings", "embedder"): LSA(),
    ("matrix_factorisation", "embedder"): LSA(),
    **{(name, "embedder"): LSA() for name in ("graph_adaptive", "graph_rank", "mmr", "facility_location", "dpp")},
    ("graph_adaptive", "scorer"): CountingScorer(),
    **{(stage, "scorer"): CountingScorer() for stage in ("cur", "anncur", "adacur", "axn")},
    **{(stage, "factors"): EmbeddingFactors(embedder=LSA()) for stage in ("cur", "anncur", "adacur", "axn")},
    ("langchain", "chat"): Chat(),
    **{(table, "path"): "x.jsonl" for table in ("corpus", "queries", "qrels")},
    ("dataset", "corpus"): CorpusTable("x.jsonl"),
    ("dataset", "queries"): QueriesTable("x.jsonl", relevant="answers"),
}
PROTOCOLS = {
    "LangChainEmbeddings": ("embed_query", "embed_documents"),
    "LangChainChatModel": ("invoke", "with_structured_output"),
}
MINILM = {"type": "sentence_transformer", "model": "some/model"}
REQUIRED_IN_YAML: dict[tuple[str, str], Any] = {
    key: value
    for key, value in REQUIRED_IN_PYTHON.items()
    if isinstance(value, (str, int, float)) or key[0] in ("categorical", "choice", "sweep")
} | {
    ("pipeline", "retriever"): {"type": "bm25"},
    ("cosine_adapter", "embedder"): {"type": "lsa"},
    ("adapted", "embedder"): {"type": "lsa"},
    ("fine_tuned", "embedder"): MINILM,
    ("fine_tuned", "scorer"): {"type": "cross_encoder", "model": "some/model"},
    ("generate", "writer"): {"type": "chat_model", "model": "some/model"},
    ("semantic_entropy", "writer"): {"type": "chat_model", "model": "some/model", "temperature": 1.0},
    ("claims", "model"): {"type": "chat_model", "model": "some/model"},
    ("dense", "embedder"): {"type": "lsa"},
    ("sparse", "embedder"): {"type": "sparse", "model": "some/model"},
    ("term_weights", "embedder"): MINILM,
    **{(name, "embedder"): {"type": "lsa"} for name in ("reduced", "static")},
    **{("cascade", name): {"type": "max_sim", "embedder": MINILM} for name in ("first", "second")},
    ("hybrid", "retrievers"): [{"type": "bm25"}, {"type": "bm25"}],
    **{(name, "embedder"): MINILM for name in OF_TOKENS},
    ("rerank", "scorer"): {"type": "max_sim", "embedder": MINILM},
    ("distilled", "scorer"): {"type": "max_sim", "embedder": MINILM},
    ("keyed", "keys"): [{"type": "text", "retriever": {"type": "bm25"}}],
    ("image", "retriever"): {"type": "dense", "embedder": {"type": "image_text", "model": "some/model"}},
    **{
        (name, "retriever"): {"type": "bm25"}
        for name in ("decomposed", "graph_rank", "text", "title", "summary", "pseudo_queries")
    },
    **{
        (name, "summarizer"): {"type": "precomputed", "path": "x.jsonl"}
        for name in ("summary", "pseudo_queries", "hyde")
    },
    **{(name, "embedder"): {"type": "lsa"} for name in ("distilled", "extractive")},
    ("embeddings", "embedder"): MINILM,
    ("matrix_factorisation", "embedder"): MINILM,
    **{(name, "embedder"): MINILM for name in ("graph_adaptive", "graph_rank", "mmr", "facility_location", "dpp")},
    ("graph_adaptive", "scorer"): {"type": "max_sim", "embedder": MINILM},
    **{(stage, "scorer"): {"type": "max_sim", "embedder": MINILM} for stage in ("cur", "anncur", "adacur", "axn")},
    **{(stage, "factors"): {"type": "embeddings", "embedder": MINILM} for stage in ("cur", "anncur", "adacur", "axn")},
    ("dataset", "corpus"): {"type": "corpus", "path": "x.jsonl"},
    ("dataset", "queries"): {"type": "queries", "path": "x.jsonl", "relevant": "answers"},
}

IN_YAML: list[Any] = [
    None, True, False, 0, 1, -1, 2, 10**12, 0.5, 0.0, -0.5, 1.5, 1e308, math.inf, -math.inf, math.nan,
    "", "x", "en", "EN", "1", "0.5", "true", "null", "no such", "\N{SNOWMAN}", [], [1], ["a"], [None], [0.5, -1.0],
    [[]], {}, {"a": 1}, {"type": "no such"}, {"type": None}, {"type": ["bm25"]}, [{"type": "no such"}],
    {"type": "flat", "x": 1},
]  # fmt: skip
IN_PYTHON: list[Any] = [
    *IN_YAML, object(), b"bytes", 1j, ("a",), {"a"}, BM25, BM25(), Flat(), LSA(), Threshold(), [LSA(), LSA()],
    lambda: None,
]  # fmt: skip


def constraints(metadata: Any) -> dict[str, Any]:
    """Bounds that stand in an annotation."""
    bounds: dict[str, Any] = {}
    for mark in metadata:
        for bound in getattr(mark, "metadata", [mark]):
            for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
                if getattr(bound, name, None) is not None:
                    bounds[name] = getattr(bound, name)
    return bounds


def accepts(annotation: Any, value: Any) -> bool:
    """Whether a value is of a type and within its bounds, without any help of pydantic."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if not accepts(inside[0], value):
            return False
        if value is None:
            return True
        rules = constraints(inside[1:])
        return (
            ("ge" not in rules or value >= rules["ge"])
            and ("gt" not in rules or value > rules["gt"])
            and ("le" not in rules or value <= rules["le"])
            and ("lt" not in rules or value < rules["lt"])
            and ("min_length" not in rules or len(value) >= rules["min_length"])
            and ("max_length" not in rules or len(value) <= rules["max_length"])
            and ("pattern" not in rules or bool(re.search(rules["pattern"], value)))
        )
    if origin in (Union, types.UnionType):
        return any(accepts(member, value) for member in inside)
    if origin is Literal:
        return any(value is choice or (type(value) is type(choice) and value == choice) for choice in inside)
    if origin is list:
        return isinstance(value, list) and all(accepts(inside[0], item) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            accepts(inside[0], key) and accepts(inside[1], item) for key, item in value.items()
        )
    if origin is collections.abc.Sequence:
        return isinstance(value, (list, tuple)) and all(accepts(inside[0], item) for item in value)
    if origin is collections.abc.Callable:
        return callable(value)
    if origin is dict:
        return isinstance(value, dict) and all(accepts(inside[1], item) for item in value.values())
    if annotation is Any:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if annotation in (str, bool):
        return isinstance(value, annotation)
    if getattr(annotation, "_is_protocol", False):
        return all(hasattr(value, name) for name in PROTOCOLS[annotation.__name__])
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return isinstance(value, annotation)
    raise NotImplementedError(f"what does {annotation} accept? teach this test")


def at_the_bounds(annotation: Any) -> list[Any]:
    """Numbers on both sides of every bound."""
    numbers: list[Any] = []
    if get_origin(annotation) is Annotated:
        for name, bound in constraints(get_args(annotation)[1:]).items():
            if name not in ("min_length", "max_length", "pattern"):
                step = 1 if accepts(int, bound) and get_args(annotation)[0] is int else 1e-6
                numbers += [bound - step, bound, bound + step]
    for part in get_args(annotation):
        numbers += at_the_bounds(part) if not isinstance(part, str) else []
    return numbers


def required(cls: Any, but: str, values: dict[tuple[str, str], Any]) -> dict[str, Any]:
    return {
        name: values[cls.type, name]
        for name, parameter in cls.spec.parameters.items()
        if parameter.required and name != but
    }


def name_of(item: Any) -> str:
    return f"{item.kind}.{item.type}" if isinstance(item, type) else str(getattr(item, "name", item))


@pytest.mark.parametrize(("cls", "parameter"), PARAMETERS, ids=name_of)
def test_python_refuses_exactly_the_wrong_values(cls: Any, parameter: Parameter):
    values = IN_PYTHON + at_the_bounds(parameter.annotation)
    wrong = [value for value in values if not accepts(parameter.annotation, value)]
    assert len(wrong) >= 20
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            cls(**required(cls, parameter.name, REQUIRED_IN_PYTHON), **{parameter.name: value})
        for line in str(caught.value).splitlines():
            assert re.match(rf"'{re.escape(cls.type)}': {parameter.name}[. ]", line), (value, line)
            assert ", got " in line
    for value in values:
        if accepts(parameter.annotation, value):
            assert parameter.errors(value) == []


def written(value: Any) -> str:
    """A value as YAML of one line."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[str(value)]
    return json.dumps(value)


@pytest.mark.parametrize(
    ("cls", "parameter"),
    [(cls, parameter) for cls, parameter in PARAMETERS if cls.type not in PYTHON_ONLY],
    ids=name_of,
)
def test_yaml_refuses_exactly_the_wrong_values_and_says_where(cls: Any, parameter: Parameter, tmp_path):
    file = tmp_path / "components.yaml"  # one of each wrong value: reading a file takes longest
    others = [f"{n}: {written(v)}" for n, v in required(cls, parameter.name, REQUIRED_IN_YAML).items()]
    lines, wrong = ["wrong:"], []
    for value in IN_YAML + at_the_bounds(parameter.annotation):
        optional = parameter.slot is not None and parameter.slot.optional and value is None
        empty_list = parameter.slot is not None and parameter.slot.container == "list" and value == []
        if (parameter.slot is None and accepts(parameter.annotation, value)) or optional or empty_list:
            continue
        component = [f"type: {cls.type}", *others, f"{parameter.name}: {written(value)}"]
        lines += [f"- {component[0]}", *(f"  {line}" for line in component[1:])]
        wrong.append((value, len(lines)))
    file.write_text("\n".join(lines), encoding="utf-8")
    read = Mistakes()
    nodes = read_source(file, mistakes=read).value["wrong"].value
    assert read == []
    for (value, line), node in zip(wrong, nodes, strict=True):
        mistakes = Mistakes()
        assert build(node, cls, mistakes=mistakes) is None, value
        assert mistakes
        for mistake in mistakes:
            assert re.match(rf"{re.escape(str(file))}:{line}:\d+: {parameter.name}[.:]", str(mistake)), str(mistake)
            if mistake.path == parameter.name and not isinstance(value, (list, dict)):
                assert mistake.location.column == len(parameter.name) + 5
    assert len(wrong) >= 15


@pytest.mark.parametrize("cls", COMPONENTS, ids=name_of)
def test_unknown_names_are_refused(cls: Any, tmp_path):
    known = next(iter(cls.spec.parameters), "type")
    for name in (known[:-1] + "_", "no_such", "Type", ""):
        with pytest.raises(ConfigError) as caught:
            cls(**required(cls, "", REQUIRED_IN_PYTHON), **{name: 1})
        assert f"unknown argument '{name}' of '{cls.type}'" in str(caught.value)
    if cls.type in PYTHON_ONLY:
        return
    file = tmp_path / "component.yaml"
    lines = [f"type: {cls.type}", *(f"{n}: {written(v)}" for n, v in required(cls, "", REQUIRED_IN_YAML).items())]
    file.write_text("\n".join([*lines, "no_such: 1"]), encoding="utf-8")
    mistakes = Mistakes()
    assert build(read_source(file, mistakes=mistakes), cls, mistakes=mistakes) is None
    valid = f" (valid: {', '.join(sorted(cls.spec.parameters))})" if cls.spec.parameters else ""
    assert list(map(str, mistakes)) == [f"{file}:{len(lines) + 1}:1: unknown argument 'no_such' of '{cls.type}'{valid}"]


@pytest.mark.parametrize(
    ("cls", "parameter"), [(cls, parameter) for cls, parameter in PARAMETERS if parameter.required], ids=name_of
)
def test_missing_arguments_are_named(cls: Any, parameter: Parameter, tmp_path):
    with pytest.raises(ConfigError) as caught:
        cls(**required(cls, parameter.name, REQUIRED_IN_PYTHON))
    assert str(caught.value) == f"'{cls.type}': missing argument '{parameter.name}'"
    file = tmp_path / "component.yaml"
    file.write_text(f"type: {cls.type}\n", encoding="utf-8")
    mistakes = Mistakes()
    assert build(read_source(file, mistakes=mistakes), cls, mistakes=mistakes) is None
    assert f"{file}:1:1: missing argument '{parameter.name}' of '{cls.type}'" in list(map(str, mistakes))
