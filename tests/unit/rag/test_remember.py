"""Values by questions: found with where they come from, replaced, forgotten, kept through updates."""

from __future__ import annotations

import json
import re

import pytest

from rag import LSA, ConfigError, DataError, Document, Pipeline, RememberedValue
from rag.eval.cli.remember import remember
from rag.retrievers import BM25, Dense

DOCUMENTS = [Document(f"d{n}", f"word{n} of the garden") for n in range(5)]
VALUES = [
    RememberedValue("when do tulips bloom?", "in spring", "Ann", {"tenant": "A"}),
    RememberedValue("open the greenhouse", {"action": "open", "door": 2}),
]
ONLY_VALUES = {"remembered": {"exists": True}}


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(retriever=BM25(top_k=10)).fit(DOCUMENTS)


def recalled(pipeline, query, condition=ONLY_VALUES):
    hits = pipeline.search(query, filter=condition)
    return [(hit.document.metadata["question"], hit.document.metadata["value"]) for hit in hits]


def test_a_value_comes_back_with_where_it_is_from(pipeline):
    assert pipeline.remember(VALUES) == 2
    hit = pipeline.search("do my tulips bloom?")[0]
    about = hit.document.metadata
    assert (about["question"], about["value"], about["source"]) == ("when do tulips bloom?", "in spring", "Ann")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", about["remembered"])
    assert hit.document.text == "when do tulips bloom?\nin spring"
    assert hit.score > 0
    assert recalled(pipeline, "the greenhouse") == [("open the greenhouse", {"action": "open", "door": 2})]


def test_values_and_documents_are_told_apart_by_a_filter(pipeline):
    pipeline.remember(VALUES)
    assert [value for _, value in recalled(pipeline, "garden greenhouse")] == [VALUES[1].value]
    documents = pipeline.search("garden greenhouse", filter={"remembered": {"exists": False}})
    assert {hit.document.id for hit in documents} == {document.id for document in DOCUMENTS}
    assert [value for _, value in recalled(pipeline, "tulips", {"tenant": "A"})] == ["in spring"]


def test_a_new_value_replaces_the_old_one_and_none_forgets(pipeline):
    pipeline.remember(VALUES)
    assert pipeline.remember(VALUES) == 0  # known already
    assert pipeline.remember([RememberedValue("when do tulips bloom?", "in May"), RememberedValue("x", None)]) == 1
    assert recalled(pipeline, "tulips") == [("when do tulips bloom?", "in May")]
    assert pipeline.remember([RememberedValue(" when do tulips bloom? ", None), RememberedValue("y", 1)]) == 2
    assert recalled(pipeline, "tulips") == []
    assert recalled(pipeline, "y") == [("y", 1)]


def test_of_one_question_the_last_value_counts(pipeline):
    assert pipeline.remember([RememberedValue("q", "a"), RememberedValue("q", "b")]) == 1
    assert recalled(pipeline, "q") == [("q", "b")]


def test_syncing_with_a_source_forgets_nothing(pipeline):
    pipeline.remember(VALUES)
    assert pipeline.sync(DOCUMENTS[:4], max_deletes=None).deleted == 1
    assert len(recalled(pipeline, "tulips greenhouse")) == 2


def test_the_nearest_label_by_vectors():
    line = Pipeline(retriever=Dense(embedder=LSA(dim=4), top_k=1)).fit(DOCUMENTS)
    line.remember([RememberedValue("word1 word2", "even"), RememberedValue("word3 word4", "odd")])
    assert [value for _, value in recalled(line, "word4")] == ["odd"]


@pytest.mark.parametrize(
    ("query", "value", "message"),
    [
        (" ", 1, "a question to remember has no text"),
        ("q", {1}, "the value of 'q' cannot be kept as JSON"),
        ("q", float("nan"), "the value of 'q' cannot be kept as JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused(query, value, message):
    with pytest.raises(DataError, match=message):
        RememberedValue(query, value)


def test_the_command_line(pipeline, tmp_path, capsys):
    index, file = tmp_path / "index", tmp_path / "values.jsonl"
    pipeline.save(index)
    rows = [{"query": "when do tulips bloom?", "value": "in spring", "source": "Ann"}, {"query": "y", "value": 3}]
    file.write_text("\n\n".join(map(json.dumps, rows)))
    remember(index, values=file, as_json=True)
    assert json.loads(capsys.readouterr().out)["values"] == 2
    assert recalled(Pipeline.load(index), "tulips") == [("when do tulips bloom?", "in spring")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"query": 3, "value": 1}', r"values\.jsonl:1: expected an object with query"),
        ('{"query": " ", "value": 1}', r"values\.jsonl:1: a question to remember has no text"),
        ('{"query": "q", "value": 1}\n{"query": "q"}', r"values\.jsonl:2: expected an object with query"),
        ("[1", r"values\.jsonl:1: expected an object with query"),
    ],
)
def test_wrong_rows_are_named(pipeline, tmp_path, text, message):
    index, file = tmp_path / "index", tmp_path / "values.jsonl"
    pipeline.save(index)
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        remember(index, values=file)


def test_something_has_to_be_remembered(tmp_path):
    with pytest.raises(ConfigError, match="give --queries with --qrels, or --values"):
        remember(tmp_path)
