"""Whether a memory has anything to say, learned from which judged questions share a document."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from rag.retrievers.judged import Judged
from rag.retrievers.kinship import Kinship


def judged(cosines, n=40):
    """Pairs of questions that share a document, at a cosine each; pairs of other questions are far apart."""
    vectors = np.zeros((2 * n, 2 * n), dtype=np.float32)
    rows, columns = [], []
    for pair, cosine in enumerate(cosines(n)):
        a, b = 2 * pair, 2 * pair + 1
        vectors[a, a] = 1
        vectors[b, a], vectors[b, b] = cosine, np.sqrt(1 - cosine**2)
        same = cosine > 0.5
        rows += [a, b]
        columns += [a, a if same else b]
    gains = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(2 * n, 2 * n))
    ids = [f"q{row}" for row in range(2 * n)]
    return Judged(ids, ids, vectors, [str(column) for column in range(2 * n)], gains, 1.0)


def hidden(n):
    return sp.csr_array(np.eye(n, dtype=bool))


def test_near_questions_are_akin_and_far_ones_are_not():
    some = judged(lambda n: np.where(np.arange(n) % 2, 0.9, 0.2))
    kinship = Kinship.of(some, some.gains, hidden(80), 0)
    likely = kinship(np.array([0.1, 0.3, 0.85, 1.0, -1.0], dtype=np.float32))
    assert (likely[:2] < 0.5).all()
    assert (likely[2:4] > 0.8).all()
    assert likely[4] == 0  # none is to be seen


def test_where_all_share_documents_every_question_is_akin():
    some = judged(lambda n: np.full(n, 0.6))
    assert Kinship.of(some, some.gains, hidden(80), 0) == Kinship()
    assert Kinship()(np.array([0.0, 0.5], dtype=np.float32)) == pytest.approx(1)


def test_where_none_does_only_the_same_question_is():
    some = judged(lambda n: np.full(n, 0.4))
    likely = Kinship.of(some, some.gains, hidden(80), 0)(np.array([0.4, 1.0], dtype=np.float32))
    assert likely[0] < 0.5 < likely[1]


def test_few_questions_tell_nothing():
    some = judged(lambda n: np.full(n, 0.4), n=5)
    assert Kinship.of(some, some.gains, hidden(10), 0) == Kinship()


@pytest.mark.parametrize("kinship", [Kinship(), Kinship(3.5, -2.0)])
def test_it_survives_saving(kinship, tmp_path):
    kinship.save(tmp_path)
    assert Kinship.load(tmp_path) == kinship
