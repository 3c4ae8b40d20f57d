"""The search loop that evaluation, sweeps and MTEB share."""

from __future__ import annotations

import pytest

from rag import Corpus, Document, Pipeline, Query
from rag.eval import searching
from rag.eval.runs.ranking import as_run
from rag.eval.searching import search_split
from rag.retrievers import BM25


@pytest.fixture
def pipeline():
    corpus = Corpus.from_documents(Document(f"d{n}", f"word{n % 3} text{n}") for n in range(7))
    return Pipeline(retriever=BM25(language="en")).fit(corpus)


@pytest.fixture
def queries():
    return [Query(f"d{n}", f"word{n % 3}") for n in range(5)]


def test_batches_in_order(pipeline, queries, monkeypatch):
    monkeypatch.setattr(searching, "BATCH", 2)
    batches = list(search_split(pipeline, queries))
    assert [len(searched.queries) for searched in batches] == [2, 2, 1]
    assert [query for searched in batches for query in searched.queries] == queries
    run = {}
    for searched in batches:
        run |= as_run(searched.queries, searched.candidates, pipeline.corpus)
    (whole,) = search_split(pipeline, queries[:2])
    assert as_run(whole.queries, whole.candidates, pipeline.corpus).items() <= run.items()


def test_the_document_that_is_the_query_does_not_count(pipeline, queries):
    (searched,) = search_split(pipeline, queries, ignore_identical_ids=True)
    run = as_run(searched.queries, searched.candidates, pipeline.corpus)
    assert not any(query in documents for query, documents in run.items())
    (whole,) = search_split(pipeline, queries)
    assert all(query in documents for query, documents in as_run(queries, whole.candidates, pipeline.corpus).items())


def test_a_trace_is_kept_when_it_is_asked_for(pipeline, queries):
    (traced,) = search_split(pipeline, queries, trace=True)
    (plain,) = search_split(pipeline, queries)
    assert list(traced.batch.trace) == ["retriever"]
    assert plain.batch.trace is None


def test_no_queries_no_batch(pipeline):
    assert list(search_split(pipeline, [])) == []
