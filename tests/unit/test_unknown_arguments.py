"""No function of the public interface takes an argument that it does not know; each says which was meant."""

from __future__ import annotations

import inspect

import pytest

import rag
from rag import ConfigError, DataError, Document, Pipeline, Query, RagError, hpo
from rag import eval as measuring
from rag.arguments import refuses_unknown
from rag.retrievers import BM25

FUNCTIONS = [
    getattr(package, name)
    for package in (rag, measuring, hpo)
    for name in package.__all__
    if inspect.isfunction(getattr(package, name))
]
METHODS = [
    getattr(Pipeline, name)
    for name in ("from_yaml", "fit", "add", "delete", "sync", "compact", "search", "save", "load", "editing")
] + [Pipeline.rollback, Pipeline.generations]


@pytest.mark.parametrize("function", [*FUNCTIONS, *METHODS], ids=lambda function: function.__qualname__)
def test_a_misspelled_argument_is_refused_with_the_nearest(function):
    parameters = list(inspect.signature(function).parameters)
    name = "workers" if function is hpo.tune else parameters[-1]
    needed = [{"type": "pipeline"}] if function is hpo.tune else [object()] if parameters[0] == "self" else []
    with pytest.raises(RagError) as caught:
        function(*needed, **{f"{name}z": 1})
    assert f"unknown argument '{name}z'" in str(caught.value)
    assert function is hpo.tune or f"did you mean '{name}'?" in str(caught.value)


def test_the_nearest_is_named():
    @refuses_unknown
    def search(query, *, top_k=10):
        return query, top_k

    assert search("cats", top_k=5) == ("cats", 5)
    with pytest.raises(ConfigError, match=r"unknown argument 'topk' of search; did you mean 'top_k'"):
        search("cats", topk=5)


DOCUMENTS = [Document("a", "refund", {"tenant": "A"}), Document("b", "refund", {"tenant": "B"})]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"search_kwargs": {"filter": {"tenant": "A"}}}, "unknown argument 'search_kwargs'"),
        ({"filters": {"tenant": "A"}}, "unknown argument 'filters' .* did you mean filter?"),
        ({"top_k": 1}, "unknown argument 'top_k' .* did you mean k?"),
        ({"whole_document": True}, "unknown argument 'whole_document' .* did you mean 'whole_documents'"),
        ({"filter": {"tenant": {"gtt": 1}}}, "unknown test 'gtt'"),
    ],
)
def test_a_langchain_retriever_takes_what_it_knows(given, message):
    pipeline = Pipeline(retriever=BM25()).fit(DOCUMENTS)
    with pytest.raises(ConfigError, match=message):
        pipeline.as_langchain_retriever(**given)
    if "filter" not in given:
        with pytest.raises(ConfigError, match=message.partition(" .*")[0]):
            pipeline.as_langchain_retriever().invoke("refund", **given)


def test_its_own_arguments_and_those_of_langchain_are_taken():
    pipeline = Pipeline(retriever=BM25()).fit(DOCUMENTS)
    retriever = pipeline.as_langchain_retriever(k=1, filter={"tenant": "A"}, tags=["mine"], name="finder")
    assert [document.id for document in retriever.invoke("refund")] == ["a"]
    assert [document.id for document in retriever.invoke("refund", filter={"tenant": "B"})] == ["b"]
    assert [document.id for document in retriever.invoke(Query("q", "refund", filter={"tenant": "B"}))] == ["b"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"query": "refund"}, "a query is a text or a rag.Query, got dict; did you mean the text under 'query'?"),
        ({1: 2}, "a query is a text or a rag.Query, got dict"),
        ({"refund"}, "a query is a text or a rag.Query, got set: a set has no order, give a list"),
        (frozenset({"refund"}), "a query is a text or a rag.Query, got frozenset: a set has no order, give a list"),
        (b"refund", "a query is a text or a rag.Query, got bytes: decode it first"),
        (bytearray(b"refund"), "a query is a text or a rag.Query, got bytearray: decode it first"),
        ([b"refund"], "a query is a text or a rag.Query, got bytes: decode it first"),
        ([{"query": "refund"}], "a query is a text or a rag.Query, got dict; did you mean the text under 'query'?"),
        ({}.keys(), "a query is a text or a rag.Query, got dict_keys: a set has no order, give a list"),
    ],
)
def test_what_is_no_query(query, message):
    pipeline = Pipeline(retriever=BM25()).fit(DOCUMENTS)
    with pytest.raises(DataError) as caught:
        pipeline.search(query)
    assert message == str(caught.value)
    if isinstance(query, dict):
        with pytest.raises(DataError, match="a query is one text or a rag.Query, got dict"):
            pipeline.as_langchain_retriever().invoke(query)


def test_more_than_a_step_gives_is_said(caplog):
    documents = [Document(str(n), f"refund number{n}") for n in range(8)]
    pipeline = Pipeline(retriever=BM25(top_k=3)).fit(documents)
    said = "top_k=5 was asked for, and retriever gives 3 at most: set retriever.top_k to find more"
    for _ in range(2):
        result = pipeline.search("refund", top_k=5)
        assert (3, [said]) == (len(result), [remark.message for remark in result.remarks])
    assert [record.message for record in caplog.records] == [said]  # the log has it once
    assert pipeline.search("number4", top_k=5).remarks == ()  # there are no more to find
    assert pipeline.search("refund", top_k=3).remarks == ()
    assert pipeline.search("refund").remarks == ()
