"""What is remembered of the last queries."""

from __future__ import annotations

import copy

import numpy as np

from rag import LSA, Document, Pipeline
from rag.embedders.recent import RecentVectors
from rag.retrievers import Dense
from tests.unit.rag.embedders.test_static import Lengths


def test_the_least_recent_is_forgotten():
    calls = []

    def embed(texts):
        calls.extend(texts)
        return np.array([[len(text)] for text in texts], dtype=np.float32)

    recent = RecentVectors(2)
    assert recent.through("e", ["a", "bb", "a"], embed).tolist() == [[1], [2], [1]]
    recent.through("e", ["a"], embed)
    recent.through("e", ["ccc"], embed)  # forgets bb
    recent.through("e", ["a", "bb"], embed)
    recent.through("other", ["a"], embed)
    assert calls == ["a", "bb", "ccc", "bb", "a"]
    assert recent.through("e", ["1", "2", "3"], embed).tolist() == [[1], [1], [1]]


def test_a_question_that_is_asked_again_is_not_embedded_again(monkeypatch):
    asked = []
    monkeypatch.setattr(
        Lengths, "embed_queries", lambda self, texts: asked.extend(texts) or np.ones((len(texts), 26), "f4")
    )
    pipeline = Pipeline(retriever=Dense(embedder=Lengths()))
    pipeline.fit([Document("a", "fox"), Document("b", "red")])
    asked.clear()
    first, second = pipeline.search("who?"), pipeline.search("who?")
    assert asked == ["who?"]
    assert first.hits == second.hits
    assert first.costs.texts_embedded == second.costs.texts_embedded == 1
    assert copy.deepcopy(pipeline).search("who?").hits == first.hits
    assert asked == ["who?", "who?"]


def test_an_embedder_that_was_fitted_anew_is_asked_anew():
    pipeline = Pipeline(retriever=Dense(embedder=LSA(stop_words=False)))
    pipeline.fit([Document("a", "fox hound"), Document("b", "red fox")])
    pipeline.search("red")
    pipeline.fit([Document("a", "blue red"), Document("b", "red whale"), Document("c", "tree house")])
    assert pipeline.search("whale red")[0].document.id == "b"
