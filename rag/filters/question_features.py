"""Features of a question that one search gives: how sure its lists look, whether they agree, what words are found."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats
from rag.corpus.passages import Passages
from rag.filters.features import in_deviations
from rag.tables import is_in
from rag.text.words import words_of

__all__ = ["list_shape", "question_features"]

_HEAD = 10
"""Candidates of a list that are looked at."""

_READ = 3
"""Passages whose words are compared with those of the question."""


def question_features(batch: QueryBatch, candidates: Candidates, passages: Passages) -> dict[str, Floats]:
    """Features by name, float32 [n] each.

    Of the candidates and of every other list that a step before has recorded: :func:`list_shape`. Of every two of these
    lists: the share of the first ten documents that they have in common. Of the words of a question: how many, the
    share that the best passage has, and the share that the best three have together.

    Args:
        batch: The queries, with their lists.
        candidates: The list of the step before.
        passages: The passages of the corpus.
    """
    others = {name: table for name, table in batch.lists.items() if not _same(table, candidates)}
    lists: Mapping[str, Candidates] = {"candidates": candidates, **others}
    features = {
        f"{name} {shape}": values for name, table in lists.items() for shape, values in list_shape(table).items()
    }
    for (name, table), (other_name, other) in combinations(lists.items(), 2):
        heads = table.head(_HEAD), other.head(_HEAD)
        common = is_in(heads[0].documents, heads[1].documents) & heads[0].mask
        features[f"{name} and {other_name}"] = (common.sum(axis=1) / _HEAD).astype(np.float32)
    return features | _words(batch, candidates, passages)


def list_shape(candidates: Candidates) -> dict[str, Floats]:
    """The shape of each list by name, float32 [n] each; 0 for an empty list.

    ``top``: the first score; ``top in deviations`` from the mean of its list; ``gap`` from it to the second; ``fall``
    from it to the mean of the first ten; ``entropy`` of the softmax of the first ten in standard deviations, as a share
    of that of ten equal scores: low where a few stand out.
    """
    head = candidates.head(_HEAD)
    deviations, _, _ = in_deviations(candidates)
    if not head.scores.size:
        names = ("top", "top in deviations", "gap", "fall", "entropy")
        return {name: np.zeros(len(candidates), dtype=np.float32) for name in names}
    mask, any_ = head.mask, head.mask[:, 0]
    scores = np.where(mask, head.scores, 0)
    counts = np.maximum(mask.sum(axis=1), 1)
    second = scores[:, 1] if scores.shape[1] > 1 else scores[:, 0]
    second = np.where(mask.sum(axis=1) > 1, second, scores[:, 0])
    z = np.where(mask, deviations[:, :_HEAD], -np.inf)
    weights = np.where(mask, np.exp(z - np.where(any_, z[:, 0], 0)[:, None]), 0)
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1) / np.log(_HEAD)
    shape = {
        "top": scores[:, 0],
        "top in deviations": np.where(any_, z[:, 0], 0),
        "gap": scores[:, 0] - second,
        "fall": scores[:, 0] - scores.sum(axis=1) / counts,
        "entropy": entropy,
    }
    return {name: values.astype(np.float32) for name, values in shape.items()}


def _words(batch: QueryBatch, candidates: Candidates, passages: Passages) -> dict[str, Floats]:
    head = candidates.head(_READ)
    texts = iter(passages.texts(head.passages[head.mask]))
    first, together, length = np.zeros((3, len(batch)), dtype=np.float32)
    for row, (query, count) in enumerate(zip(batch.queries, head.counts.tolist(), strict=True)):
        words = set(words_of(query.text))
        seen = [words & set(words_of(next(texts))) for _ in range(count)]
        length[row] = np.log1p(len(words))
        if seen and words:
            first[row], together[row] = len(seen[0]) / len(words), len(set().union(*seen)) / len(words)
    return {"words": length, "words of the best passage": first, "words of three passages": together}


def _same(table: Candidates, other: Candidates) -> bool:
    return table is other or (
        np.array_equal(table.documents, other.documents) and np.array_equal(table.scores, other.scores)
    )
