"""Fitted pipelines and their parts are pickled, copied and sent to other processes, and answer as before."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import rag.registry
from rag import (
    ConfigError,
    Corpus,
    DataError,
    Document,
    MissingExtraError,
    Pipeline,
    Query,
    RecursiveChunker,
    Threshold,
)
from rag.embedders.lsa import LSA
from rag.errors import Mistake
from rag.rerankers import CUR, EmbeddingFactors, GraphAdaptive, MaxSim, Rerank
from rag.retrievers import (
    BM25,
    HNSW,
    IVFPQ,
    LSH,
    Auto,
    Dense,
    Factory,
    Flat,
    Hybrid,
    IVFFlat,
    Keyed,
    RaBitQ,
    ScalarQuantized,
    SummaryKey,
    TextKey,
    TitleKey,
    Truncate,
)
from rag.summarizers import Extractive
from tests.fakes import CountingScorer, WordEmbedder

DOCUMENTS = [
    Document(
        f"d{n}",
        f"word{n % 7} word{n % 11} text about number{n}. And more of word{n % 5}.",
        {"n": n, "title": f"word{n % 13}", "day": f"2024-01-{n % 28 + 1:02d}"},
    )
    for n in range(120)
]
QUERIES = [Query("a", "word1 word2"), Query("b", "number7 word3", filter={"n": {"lt": 60}}), "word4"]
WORDS = WordEmbedder(size=16)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    fake = EntryPoint("embedder.fake_words", "tests.fakes:WordEmbedder", "rag.components")
    ours = rag.registry.entry_points
    monkeypatch.setattr(
        rag.registry, "entry_points", lambda group: [*ours(group), *([fake] if group == fake.group else [])]
    )
    rag.registry._entries.cache_clear()
    yield
    monkeypatch.undo()
    rag.registry._entries.cache_clear()


RETRIEVERS = {
    "bm25": lambda: BM25(top_k=8),
    "bm25 without stems": lambda: BM25(stemmer=None, stopwords=None, variant="bm25+"),
    "lsa": lambda: Dense(embedder=LSA(dim=8), top_k=8),
    "hybrid": lambda: Hybrid(retrievers=[BM25(), Dense(embedder=WORDS)], top_k=8),
    "keyed": lambda: Keyed(
        keys=[
            SummaryKey(summarizer=Extractive(embedder=LSA(dim=6), sentences=1), retriever=BM25()),
            TitleKey(retriever=BM25()),
            TextKey(retriever=Dense(embedder=WORDS)),
        ],
        top_k=8,
    ),
    **{
        type(index).__name__: lambda index=index: Dense(embedder=WORDS, index=index, top_k=8)
        for index in (
            Flat(),
            HNSW(),
            IVFFlat(n_clusters=4),
            IVFPQ(n_clusters=3, n_probe=2, n_parts=4, opq=False, refine=3),
            LSH(),
            ScalarQuantized(),
            RaBitQ(n_clusters=3, n_probe=2, refine=3),
            Truncate(dimensions=8, refine=3),
            Factory("HNSW16,Flat"),
            Auto(),
        )
    },
}
STAGES = {
    "threshold": lambda: [Threshold(min_relative=0.1)],
    "rerank": lambda: [Rerank(scorer=CountingScorer(), budget=6)],
    "max_sim": lambda: [Rerank(scorer=MaxSim(embedder=WORDS), budget=6)],
    "cur": lambda: [CUR(scorer=CountingScorer(), factors=EmbeddingFactors(embedder=WORDS), budget=10, rounds=2)],
    "graph": lambda: [GraphAdaptive(scorer=CountingScorer(), embedder=WORDS, budget=10)],
}


def answers(pipeline):
    return [
        [(hit.document, hit.score, hit.start, hit.end, hit.passage) for hit in result]
        for result in pipeline.search(QUERIES)
    ]


def twins(thing):
    return [pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing), copy.copy(thing)]  # noqa: S301


def check(pipeline):
    expected = answers(pipeline)
    assert any(expected)
    for twin in twins(pipeline):
        assert answers(twin) == expected
        assert pipeline.fingerprint == twin.fingerprint
    for path, part in pipeline.spec.walk():
        for twin in twins(part):
            assert type(part) is type(twin), path
    assert answers(pipeline) == expected  # and it is as it was


@pytest.mark.parametrize("name", RETRIEVERS)
def test_a_fitted_pipeline(name, tmp_path):
    pipeline = Pipeline(retriever=RETRIEVERS[name](), chunker=RecursiveChunker(size=40, unit="characters"))
    pipeline.fit(DOCUMENTS)
    check(pipeline)
    pipeline.add([Document("new", "word1 word2 number7")])
    pipeline.delete(["d1", "d2"])
    check(pipeline)
    pipeline.save(tmp_path / "index")
    loaded = Pipeline.load(tmp_path / "index")
    check(loaded)
    (twin, *_) = twins(loaded)
    twin.add([Document("newer", "word1 word2 number9")])  # what came out of a pickle lives on
    twin.save(tmp_path / "other")
    assert answers(twin) == answers(Pipeline.load(tmp_path / "other", verify=True))


@pytest.mark.parametrize("name", STAGES)
def test_fitted_stages(name):
    check(Pipeline(retriever=BM25(), stages=STAGES[name]()).fit(DOCUMENTS))


def test_what_two_parts_share_they_share_afterwards():
    pipeline = Pipeline(retriever=Hybrid(retrievers=[Dense(embedder=WORDS), Dense(embedder=WORDS, top_k=5)]))
    pipeline.fit([Document(str(n), f"word{n} " * 2000) for n in range(100)])
    size = len(pickle.dumps(pipeline))
    assert len(pickle.dumps(pipeline.corpus)) < size < 2.2 * len(pickle.dumps(pipeline.corpus))
    (twin, *_) = twins(pipeline)
    assert twin.corpus is twin.retriever.retrievers[0]._passages.corpus


def ask(pipeline):
    return answers(pipeline)


def fail(error):
    raise error


def test_other_processes_answer_alike():
    pipelines = [Pipeline(retriever=RETRIEVERS[name]()).fit(DOCUMENTS) for name in ("bm25", "hybrid", "HNSW")]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert [answers(pipeline) for pipeline in pipelines] == list(pool.map(ask, pipelines))
        for error in ERRORS:
            with pytest.raises(type(error)) as caught:
                pool.submit(fail, error).result()
            assert str(error) == str(caught.value)


ERRORS = [
    DataError("documents"),
    ConfigError("wrong", parameter="top_k"),
    ConfigError([Mistake("one", "a.b"), Mistake("two")]),
    MissingExtraError("it", package="there", extra="here"),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_errors_come_out_as_they_were(error):
    for twin in twins(error):
        assert (type(error), str(error), error.args, error.__dict__) == (
            type(twin),
            str(twin),
            twin.args,
            twin.__dict__,
        )


def test_a_corpus_is_small_and_whole():
    corpus = Corpus.from_documents(DOCUMENTS).with_alive(np.arange(120) > 0)
    for twin in twins(corpus):
        assert (list(corpus), corpus.n_alive, corpus.fingerprint) == (list(twin), twin.n_alive, twin.fingerprint)
        assert corpus.fields.mask({"n": 3}).tolist() == twin.fields.mask({"n": 3}).tolist()
