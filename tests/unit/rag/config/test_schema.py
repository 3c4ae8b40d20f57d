"""The JSON Schema that editors read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from rag import ConfigError, Pipeline
from rag.config import read_source
from rag.config.schema import component_schema, json_schema
from rag.embedders.langchain import LangChainEmbedder
from rag.errors import Mistakes
from rag.registry import component_class, kinds, types_of
from rag.rerankers import CallableScorer
from rag.retrievers import BM25
from rag.summarizers.langchain import LangChainSummarizer

CONFIGS = Path(__file__).parents[4] / "configs"


@pytest.fixture(scope="module")
def schema():
    return json_schema()


@pytest.fixture(scope="module")
def validator(schema):
    return Draft7Validator(schema)


def content(name):
    mistakes = Mistakes()
    node = read_source(CONFIGS / name, mistakes=mistakes)
    assert mistakes == []
    return node.plain()


def test_it_is_valid_draft_7_and_json(schema):
    Draft7Validator.check_schema(schema)
    assert schema == json.loads(json.dumps(schema, allow_nan=False))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_every_reference_leads_somewhere(schema):
    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    paths = set(references(schema))
    assert "#/definitions/retriever" in paths
    assert [path for path in paths if path.removeprefix("#/definitions/") not in schema["definitions"]] == []


def test_every_component_that_can_stand_in_a_file_has_a_definition_with_help(schema):
    for kind in kinds():
        for name in types_of(kind):
            cls = component_class(kind, name)
            if cls in (CallableScorer, LangChainEmbedder, LangChainSummarizer):
                assert f"{kind}.{name}" not in schema["definitions"]
                continue
            definition = schema["definitions"][f"{kind}.{name}"]
            assert {"$ref": f"#/definitions/{kind}.{name}"} in schema["definitions"][kind]["anyOf"]
            assert set(cls.spec.parameters) | {"type"} == set(definition["properties"]) - {"extends", "unset"}
            assert all(about.get("description") for about in definition["properties"].values())


def test_bounds_choices_and_defaults_are_in_it():
    properties = component_schema(BM25)["properties"]
    variable = {"type": "string", "pattern": r"^\$\{"}
    assert properties["top_k"] == {
        "anyOf": [{"type": "integer", "minimum": 1}, variable],
        "default": 100,
        "description": "Documents returned.",
    }
    assert properties["variant"]["enum"] == ["lucene", "robertson", "atire", "bm25l", "bm25+"]
    assert properties["b"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}
    assert properties["b"]["default"] == 0.75
    assert component_schema(BM25)["required"] == ["type"]


@pytest.mark.parametrize("name", sorted(file.name for file in CONFIGS.glob("*.yaml")))
def test_our_configurations_are_accepted_as_they_are_and_complete(validator, name):
    assert [error.message for error in validator.iter_errors(content(name))] == []
    assert [error.message for error in validator.iter_errors(Pipeline.from_yaml(CONFIGS / name).spec.to_config())] == []


def broken(path, value):
    config = copy.deepcopy(content("quickstart.yaml"))
    at = config
    for step in path[:-1]:
        at = at[step]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["retreiver"], {}),
        (["retriever"], KeyError),
        (["type"], "pipelines"),
        (["retriever"], "bm25"),
        (["retriever", "type"], "threshold"),
        (["retriever", "type"], KeyError),
        (["retriever", "top_k"], 0),
        (["retriever", "top_k"], "50"),
        (["retriever", "topk"], 50),
        (["retriever", "retrievers"], []),
        (["retriever", "retrievers", 0, "k1"], -1),
        (["retriever", "retrievers", 0, "variant"], "okapi"),
        (["retriever", "retrievers", 1, "embedder"], KeyError),
        (["retriever", "retrievers", 1, "embedder", "model"], None),
        (["retriever", "retrievers", 1, "index", "type"], "bm25"),
        (["chunker", "size"], 1.5),
        (["chunker", "unit"], "words"),
        (["stages"], {"type": "threshold"}),
        (["stages", 0], "rerank"),
        (["stages", 1, "min_relative"], 1.5),
    ],
    ids=str,
)
def test_broken_configurations_are_rejected(validator, path, value):
    assert not validator.is_valid(broken(path, value))


def test_a_file_that_extends_another_may_leave_things_out(validator):
    assert validator.is_valid({"extends": "hybrid.yaml", "stages": []})
    assert not validator.is_valid({"stages": []})
    assert not validator.is_valid({"extends": 5})


def _validator(kind):
    return Draft7Validator(json_schema(kind))


def _read(file):
    mistakes = Mistakes()
    node = read_source(file, mistakes=mistakes)
    assert mistakes == []
    return node.plain()


def _raw(file):
    return YAML(typ="safe", pure=True).load(file.read_text())


@pytest.mark.parametrize("file", sorted((CONFIGS / "sweeps").glob("*.yaml")), ids=lambda file: file.name)
def test_our_sweeps_are_accepted(file):
    assert [error.message for error in _validator("sweep").iter_errors(_raw(file))] == []
    assert [error.message for error in _validator("sweep").iter_errors(_read(file))] == []


@pytest.mark.parametrize(
    "sweep",
    [
        {"type": "sweep", "pipeline": {"extends": "p.yaml", "retriever": {"top_q": 5}}},
        {"type": "sweep", "pipeline": {"extends": "p.yaml"}, "sampler": "tpee"},
        {"type": "sweep", "pipeline": {"extends": "p.yaml"}, "n_trials": 0},
        {"type": "sweep"},
    ],
)
def test_broken_sweeps_are_rejected(sweep):
    assert list(_validator("sweep").iter_errors(sweep))


def test_dataset_files_judges_and_writers_have_schemas():
    tables = {"corpus": {"path": "d.csv"}, "queries": {"path": "q.csv", "relevant": "answers"}}
    assert list(_validator("dataset").iter_errors({"type": "dataset", **tables})) == []
    assert list(_validator("dataset").iter_errors({"type": "dataset", **tables, "corpus": {"pth": "d.csv"}}))
    for folder, kind in (("judges", "judge"), ("writers", "summarizer")):
        for file in (CONFIGS / folder).glob("*.yaml"):
            assert [error.message for error in _validator(kind).iter_errors(_raw(file))] == []


def test_extends_unset_and_anchors_are_accepted_anywhere(validator):
    part = {"extends": ["a.yaml", "b.yaml"], "unset": ["top_k"], "x-note": 1}
    assert list(validator.iter_errors({"type": "pipeline", "x-a": [], "retriever": part, "stages": [part]})) == []


def test_a_kind_that_there_is_not():
    with pytest.raises(ConfigError, match="unknown kind 'sweeps'; did you mean 'sweep'"):
        json_schema("sweeps")
