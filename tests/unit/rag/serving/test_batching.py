"""Queries that wait are answered together, and as if each were alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rag import DataError, Document, Pipeline, Query
from rag.pipeline import Snapshot
from rag.retrievers import BM25, Dense, Hybrid
from rag.serving.batching import Batcher, Waiting
from rag.serving.problems import Problem
from tests.fakes import WordEmbedder

WORDS = [f"word{n}" for n in range(40)]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    documents = [Document(str(n), " ".join(WORDS[n % 40 :: 1 + n % 7]), {"part": n % 3}) for n in range(300)]
    hybrid = Hybrid(retrievers=[BM25(top_k=30), Dense(embedder=WordEmbedder(), top_k=30)], top_k=30)
    return Pipeline(retriever=hybrid).fit(documents)


class Gate:
    """A pipeline that answers when it is let, and remembers the sizes of batches."""

    def __init__(self, pipeline: Pipeline, *, open: bool = False) -> None:
        self.pipeline, self.open, self.sizes = pipeline, threading.Event(), []
        if open:
            self.open.set()

    @property
    def corpus(self):
        return self.pipeline.corpus

    answering = None

    def search_batch(self, batch, top_k):
        assert self.open.wait(20)
        self.sizes.append(len(batch))
        return self.pipeline.search_batch(batch, top_k)


def shown(result):
    return [(hit.document.id, pytest.approx(hit.score, abs=1e-6), hit.passage) for hit in result]


def test_results_are_those_of_asking_alone(pipeline):
    gate = Gate(pipeline)
    batcher, snapshot = Batcher(max_batch=8), Snapshot(gate)
    asked = [
        Waiting(
            snapshot,
            Query("0", f"{WORDS[n % 40]} {WORDS[n % 11]}", filter={"part": n % 3} if n % 2 else None),
            1 + n % 9,
        )
        for n in range(30)
    ]
    batcher.submit(asked)
    gate.open.set()
    for waiting in asked:
        result = waiting.future.result(20).result
        alone = pipeline.search(waiting.query, top_k=waiting.top_k)
        assert [(hit.document.id, hit.score, hit.passage) for hit in result] == shown(alone)
        assert [remark.message for remark in result.remarks] == [remark.message for remark in alone.remarks]
    batcher.close()
    assert max(gate.sizes) == 8
    assert sum(gate.sizes) == 30


def test_only_those_who_ask_for_it_are_explained(pipeline):
    gate = Gate(pipeline)
    batcher, snapshot = Batcher(), Snapshot(gate)
    asked = [Waiting(snapshot, Query("0", "word1"), 3, explain=number == 1) for number in range(3)]
    batcher.submit(asked)
    gate.open.set()
    results = [waiting.future.result(20).result for waiting in asked]
    batcher.close()
    assert [bool(result[0].explanation) for result in results] == [False, True, False]
    assert dict(results[1][0].explanation) == dict(pipeline.search("word1", top_k=3, explain=True)[0].explanation)


def test_one_that_cannot_be_answered_fails_alone(pipeline):
    gate = Gate(pipeline)
    batcher, snapshot = Batcher(), Snapshot(gate)
    good = [Waiting(snapshot, Query("0", word)) for word in WORDS[:3]]
    bad = Waiting(snapshot, Query("0", "word1", filter={"nothing": 1}))
    batcher.submit([good[0], bad, *good[1:]])
    gate.open.set()
    with pytest.raises(DataError, match="no document has the field 'nothing'"):
        bad.future.result(20)
    assert all(len(waiting.future.result(20).result) for waiting in good)
    batcher.close()


def test_an_error_of_a_batch_is_that_of_the_query_that_has_it(pipeline):
    class Picky(Gate):
        def search_batch(self, batch, top_k):
            if any(query.text == "word2" for query in batch.queries):
                raise RuntimeError("not this one")
            return super().search_batch(batch, top_k)

    gate = Picky(pipeline, open=True)
    batcher, snapshot = Batcher(window=0.05), Snapshot(gate)
    asked = [Waiting(snapshot, Query("0", word)) for word in WORDS[:4]]
    batcher.submit(asked)
    with pytest.raises(RuntimeError, match="not this one"):
        asked[2].future.result(20)
    assert [len(asked[n].future.result(20).result) > 0 for n in (0, 1, 3)] == [True, True, True]
    batcher.close()


def test_a_full_queue_says_when_to_come_back(pipeline):
    gate = Gate(pipeline)
    batcher, snapshot = Batcher(max_batch=1, max_waiting=2), Snapshot(gate)
    first = [Waiting(snapshot, Query("0", "word1"))]
    batcher.submit(first)
    while len(batcher):
        time.sleep(0.001)  # until the thread has it
    waiting = [Waiting(snapshot, Query("0", "word1")) for _ in range(2)]
    batcher.submit(waiting)
    with pytest.raises(Problem) as refused:
        batcher.submit([Waiting(snapshot, Query("0", "word1"))])
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    waiting[0].future.cancel()  # whose client has gone makes room
    late = [Waiting(snapshot, Query("0", "word1"))]
    batcher.submit(late)
    gate.open.set()
    assert len(late[0].future.result(20).result)
    batcher.close()
    assert gate.sizes == [1, 1, 1]


def test_generations_are_not_mixed(pipeline):
    other = Pipeline(retriever=BM25()).fit([Document("other", "word1")])
    gates = Gate(pipeline), Gate(other)
    batcher, snapshots = Batcher(), [Snapshot(gate) for gate in gates]
    asked = [Waiting(snapshots[number % 2], Query("0", "word1"), 5) for number in range(6)]
    batcher.submit(asked)
    for gate in gates:
        gate.open.set()
    for number, waiting in enumerate(asked):
        ids = [hit.document.id for hit in waiting.future.result(20).result]
        assert (ids == ["other"]) == (number % 2 == 1)
    batcher.close()
    assert gates[0].sizes + gates[1].sizes == [1] * 6


def test_many_threads(pipeline):
    gate = Gate(pipeline, open=True)
    batcher, snapshot = Batcher(), Snapshot(gate)

    def ask(n: int) -> list[str]:
        waiting = Waiting(snapshot, Query("0", WORDS[n % 40]), 5)
        batcher.submit([waiting])
        return [hit.document.id for hit in waiting.future.result(20).result]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(120)))
    batcher.close()
    assert answers == [[hit.document.id for hit in pipeline.search(WORDS[n % 40], top_k=5)] for n in range(120)]


def test_closing_answers_what_waits(pipeline):
    gate = Gate(pipeline, open=True)
    batcher = Batcher()
    asked = [Waiting(Snapshot(gate), Query("0", "word1")) for _ in range(3)]
    batcher.submit(asked)
    batcher.close()
    assert all(waiting.future.done() for waiting in asked)
    with pytest.raises(Problem, match="closing"):
        batcher.submit(asked)
