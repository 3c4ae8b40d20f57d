"""A quick scorer first, a better one for the best."""

from __future__ import annotations

import numpy as np

from rag import Corpus, Document, FitContext, Passages, Query, QueryBatch
from rag.rerankers import CallableScorer, Cascade

N = 12
CALLS: list[str] = []


def quick(pairs):
    return [float(text.split()[1]) for _, text in pairs]


def better(pairs):
    CALLS.extend(text for _, text in pairs)
    return [-float(text.split()[1]) for _, text in pairs]


def test_the_better_decides_among_the_best_and_the_rest_follow():
    corpus = Corpus.from_documents(Document(f"d{number}", f"text {number}") for number in range(N))
    cascade = Cascade(first=CallableScorer(quick, name="quick"), second=CallableScorer(better, name="better"), keep=3)
    cascade.fit(FitContext(corpus, Passages.whole(corpus)))
    rows = np.repeat([0, 1], [N, 2])
    passages = np.array([*range(N), 0, 1])
    batch = QueryBatch([Query("a", "x"), Query("b", "y")])
    CALLS.clear()
    scores = cascade.score(batch, rows, passages)
    order = np.argsort(-scores[:N], kind="stable")
    assert order.tolist() == [9, 10, 11, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert scores[9:12].tolist() == [-9, -10, -11]
    assert scores[N:].tolist() == [0, -1]  # all of a short list go to the better one
    assert sorted(CALLS) == sorted(["text 9", "text 10", "text 11", "text 0", "text 1"])
    assert batch.ledger.total.scorer_calls == len(rows) + 5
    assert cascade.score(batch, rows[:0], passages[:0]).shape == (0,)
