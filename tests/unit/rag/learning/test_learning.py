"""What is hidden, features and models, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from rag import Candidates, Corpus, Document, ModelError, Query, Training
from rag.learning.features import assembled, from_list, from_scores, union
from rag.learning.gains import Gains, paired_gain
from rag.learning.lambdamart import LambdaMART, fit_lambdamart
from rag.learning.listwise import Linear, Scaling, fit_linear
from rag.learning.unseen import N_FOLDS, Unseen


def table(rows, scores):
    positions = np.array(rows, dtype=np.int64)
    return Candidates(positions, np.where(positions >= 0, np.array(scores), -np.inf).astype(np.float32), positions)


def questions(texts, judged=None):
    queries = [Query(str(n), text) for n, text in enumerate(texts)]
    return Training(queries, judged or {query.id: {query.id: 1} for query in queries})


def test_a_query_hides_itself_and_what_is_the_same_question():
    training = questions(["How to sort a list?", "how to SORT a list", "read a file", "sort a big list in place now"])
    unseen = Unseen.of(training)
    assert [row.nonzero()[0].tolist() for row in unseen.hidden.toarray()] == [[0, 1], [0, 1], [2], [3]]
    assert unseen.folds[0] == unseen.folds[1]
    assert [row.nonzero()[0].tolist() for row in unseen.select(np.array([1])).hidden.toarray()] == [[0, 1]]
    assert unseen.among(["1", "x"]).toarray().tolist() == [[True, False], [True, False], [False, False], [False, False]]


def test_questions_that_share_a_document_are_hidden_where_that_is_wanted():
    judged = {"0": {"a": 1}, "1": {"a": 1, "b": 1}, "2": {"b": 1, "c": 0}, "3": {"c": 1}}
    training = questions(["one", "two", "three", "four"], judged)
    hidden = Unseen.of(training, "documents").hidden.toarray()
    assert [row.nonzero()[0].tolist() for row in hidden] == [[0, 1], [0, 1, 2], [1, 2], [3]]


def test_parts_are_of_like_size():
    unseen = Unseen.of(questions([f"question {n} about thing{n}" for n in range(41)]))
    assert sorted(np.bincount(unseen.folds, minlength=N_FOLDS)) == [10, 10, 10, 11]


def test_candidates_are_those_of_all_lists():
    joined = union([table([[4, 2, 9]], [[3, 2, 1]]), table([[2, 7, -1]], [[9, 8, 0]])], 2)
    assert joined.documents.tolist() == [[2, 4, 7]]


def test_a_list_says_what_a_plain_loop_says():
    listed = table([[4, 2, 9], [1, -1, -1]], [[3.0, 2.0, 1.0], [5.0, 0, 0]])
    candidates = table([[2, 4, 7], [1, 3, -1]], [[0, 0, 0], [0, 0, 0]])
    features = from_list(listed, candidates)
    assert [[2.0, 3.0, 1.0], [5.0, 5.0]] == [features["score"][0].tolist(), features["score"][1, :2].tolist()]
    assert features["share"][0].tolist() == [0.5, 1.0, 0.0]
    np.testing.assert_allclose(features["z"][0], (np.array([2, 3, 1]) - 2) / np.std([1, 2, 3]), rtol=1e-6)
    np.testing.assert_allclose(features["1/rank"], [[1 / 12, 1 / 11, 0], [1 / 11, 0, 0]], rtol=1e-6)


def test_scores_of_all_say_the_same_kind_of_thing():
    candidates = table([[2, 4, 7]], [[0, 0, 0]])
    features = from_scores(np.array([[1.0, 4.0, 0.0]], dtype=np.float32), candidates)
    assert features["share"].tolist() == [[0.25, 1.0, 0.0]]
    np.testing.assert_allclose(features["1/rank"], [[1 / 12, 1 / 11, 0]], rtol=1e-6)


def test_features_are_taken_by_name():
    values = {"a": np.zeros((1, 2), np.float32), "b": np.ones((1, 2), np.float32)}
    features = assembled(values, {"a": True, "b": False})
    assert features.take(["b", "a"]).values.tolist() == [[[1.0, 0.0], [1.0, 0.0]]]
    with pytest.raises(ModelError, match="fitted on 2 features, of which 1 are not there, such as 'c'"):
        features.take(["a", "c"])


def lists(n=60, k=12, seed=0):
    """Candidates whose relevance hangs on features 0 (good) and 1 (bad); 2 is noise, 3 is always the same."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, k, 4)).astype(np.float32)
    values[:, :, 3] = 7.0
    mask = np.arange(k) < rng.integers(6, k + 1, size=(n, 1))
    score = 2 * values[:, :, 0] - values[:, :, 1] + 0.3 * rng.normal(size=(n, k))
    gains = np.zeros((n, k), dtype=np.float32)
    gains[np.arange(n), np.where(mask, score, -np.inf).argmax(axis=1)] = 1.0
    return values, mask, gains


def test_the_linear_model_is_at_the_minimum_of_its_loss():
    values, mask, gains = lists()
    scaled = Scaling.of(values, mask)(values)
    weights = fit_linear(scaled, mask, gains, 0.05)

    def loss(w):
        total = 0.0
        for row in range(len(values)):
            logits = [float(scaled[row, c] @ w) for c in range(values.shape[1]) if mask[row, c]]
            right = [float(gains[row, c]) for c in range(values.shape[1]) if mask[row, c]]
            log_sum = np.log(sum(np.exp(logit) for logit in logits))
            total -= sum(g * (logit - log_sum) for g, logit in zip(right, logits, strict=True)) / sum(right)
        return total / len(values) + 0.05 * float(w @ w)

    least = loss(weights)
    for step in np.eye(4, dtype=np.float32) * 0.05:
        assert loss(weights + step) >= least - 1e-6
        assert loss(weights - step) >= least - 1e-6
    assert weights[0] > 0 > weights[1]
    assert weights[3] == 0  # what is always the same says nothing


def test_what_is_not_known_counts_as_the_mean():
    values, mask, _ = lists()
    linear = Linear(Scaling.of(values, mask), np.array([1.0, 0, 0, 0], dtype=np.float32))
    unknown = np.full((1, 1, 4), np.nan, dtype=np.float32)
    assert linear(unknown).tolist() == [[0.0]]
    assert linear(values).tolist() == Linear.from_dict(linear.as_dict())(values).tolist()
    np.testing.assert_allclose(linear.contributions(values).sum(axis=2), linear(values), rtol=1e-5)


def test_weights_are_drawn_to_the_prior():
    values, mask, gains = lists()
    prior = np.array([0.0, 3.0, 0.0, 0.0], dtype=np.float32)
    scaled = Scaling.of(values, mask)(values)
    np.testing.assert_allclose(fit_linear(scaled, mask, gains, 1e4, prior=prior), prior, atol=1e-2)


def test_trees_rise_with_scores_and_are_the_same_once_read_again():
    learned, held_out = lists(200), lists(60, seed=1)
    trees = fit_lambdamart(learned, held_out, [True, False, False, False], seed=0, trees=60)
    again = LambdaMART(trees.text)
    assert trees(held_out[0]).tolist() == again(held_out[0]).tolist()
    rising = np.zeros((1, 50, 4), dtype=np.float32)
    rising[0, :, 0] = np.linspace(-3, 3, 50)
    assert (np.diff(trees(rising)[0]) >= 0).all()
    flat = held_out[0][held_out[1]]
    assert trees.contributions(flat).shape == flat.shape
    assert trees.gains.argmax() == 0


def test_ndcg_is_that_of_a_plain_loop():
    corpus = Corpus.from_documents(Document(id, id) for id in "abcdef")
    queries = [Query("0", "x"), Query("1", "y"), Query("2", "z")]
    judged = {"0": {"a": 2, "c": 1, "e": 0}, "1": {"gone": 1, "b": 1}, "2": {}}
    gains = Gains(queries, judged, corpus)
    values = gains.ndcg(table([[2, 1, 0], [1, 0, -1], [0, 1, 2]], [[3, 2, 1], [2, 1, 0], [3, 2, 1]]))
    ideal = 1 + 0.5 / np.log2(3)
    assert values[0] == pytest.approx((0.5 + 1 / np.log2(4)) / ideal)
    assert values[1] == pytest.approx(1.0)
    assert np.isnan(values[2])
    assert gains.missing == 1
    assert paired_gain(np.array([1.0, 0.0, np.nan]), np.array([0.0, 0.0, 1.0])) == (0.5, 0.5)
