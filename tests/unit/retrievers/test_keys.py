"""Passages mapped to documents, against a search through everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Corpus, Document, Passages, Query, QueryBatch
from rag.candidates import top_k_of_scores
from rag.retrievers.keys import best_documents


def passages_of(owners):
    corpus = Corpus.from_documents(Document(str(number), "x") for number in range(max(owners) + 1))
    zeros = np.zeros(len(owners), dtype=np.int64)
    return Passages(corpus, np.asarray(owners, dtype=np.int64), zeros, zeros + 1, {})


def batch_of(n):
    return QueryBatch([Query(str(number), "x") for number in range(n)])


def brute_force(scores, owners, top_k):
    lists = []
    for row in scores.tolist():
        best: dict[int, float] = {}
        for owner, score in zip(owners, row, strict=True):
            best[owner] = max(score, best.get(owner, -np.inf))
        best = {owner: score for owner, score in best.items() if score > -np.inf}
        lists.append(sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:top_k])
    return lists


def rows_of(table):
    return [
        [(p, s) for p, s in zip(positions, scores, strict=True) if p >= 0]
        for positions, scores in zip(table.documents.tolist(), table.scores.tolist(), strict=True)
    ]


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(1, 7), min_size=1, max_size=12))
    owners = [number for number, count in enumerate(counts) for _ in range(count)]
    values = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0])
    rows = draw(st.lists(st.lists(values, min_size=len(owners), max_size=len(owners)), min_size=0, max_size=4))
    return owners, np.asarray(rows, dtype=np.float32).reshape(len(rows), len(owners))


@given(cases(), st.integers(1, 15))
def test_the_best_documents_are_those_of_brute_force(case, top_k):
    owners, scores = case
    passages = passages_of(owners)
    asked = []

    def search(rows, k, allowed):
        asked.append(k)
        assert k <= len(owners)
        return top_k_of_scores(scores[rows], k)

    table = best_documents(search, passages, top_k, batch_of(len(scores)))
    assert brute_force(scores, owners, top_k) == rows_of(table)
    for row, (positions, speakers) in enumerate(zip(table.documents, table.passages, strict=True)):
        for column, (position, speaker) in enumerate(zip(positions, speakers, strict=True)):
            if position >= 0:
                assert owners[speaker] == position
                assert scores[row, speaker] == table.scores[row, column]
    assert len(asked) <= 2 + np.log2(len(owners))


def test_one_document_that_fills_the_list_does_not_hide_the_others():
    owners = [0] * 500 + list(range(1, 21))
    scores = np.linspace(2, 1, len(owners), dtype=np.float32)[None]
    table = best_documents(
        lambda rows, k, allowed: top_k_of_scores(scores[rows], k), passages_of(owners), 5, batch_of(1)
    )
    assert table.documents.tolist() == [[0, 1, 2, 3, 4]]


def test_only_queries_that_came_up_short_are_asked_again():
    owners = [0] * 200 + list(range(1, 101))
    spread, hidden = np.arange(300, 0, -1.0), np.arange(300, 0, -1.0)
    spread[200:] += 1000
    scores = np.stack([spread, hidden, spread]).astype(np.float32)
    asked = []

    def search(rows, k, allowed):
        asked.append(rows if isinstance(rows, slice) else rows.tolist())
        return top_k_of_scores(scores[rows], k)

    table = best_documents(search, passages_of(owners), 3, batch_of(3))
    assert table.documents.tolist() == [[1, 2, 3], [0, 1, 2], [1, 2, 3]]
    assert slice(None) == asked[0]
    assert {tuple(rows) for rows in asked[1:]} == {(1,)}


def test_an_index_that_gives_up_early_is_not_asked_for_ever():
    owners = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    asked = []

    def search(rows, k, allowed):
        asked.append(k)
        keys = np.full((1, k), -1, dtype=np.int64)
        keys[0, :2] = [1, 0]
        return keys, np.where(keys >= 0, 1.0, -np.inf).astype(np.float32)

    table = best_documents(search, passages_of(owners), 2, batch_of(1))
    assert table.documents.tolist() == [[0]]
    assert len(asked) <= 3


@pytest.mark.parametrize("top_k", [1, 2, 3, 1000])
def test_more_than_there_is_gives_all(top_k):
    scores = np.array([[3, 1, 2]], dtype=np.float32)
    table = best_documents(
        lambda rows, k, allowed: top_k_of_scores(scores[rows], k), passages_of([0, 1, 2]), top_k, batch_of(1)
    )
    assert table.documents.tolist() == [[0, 2, 1][:top_k]]
