"""Abstaining: the probe against scikit-learn's own pipeline, the thresholds against every threshold tried, and the
promise against many draws.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, entropy
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from rag import Answerable, Corpus, DataError, Document, ModelError, Pipeline, Query, QueryBatch, Training
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.filters.answerable import halves, largest_share_at_risk, threshold_at_risk
from rag.filters.question_features import list_shape, question_features
from rag.learning.probe import Probe
from rag.retrievers import BM25, Hybrid
from tests.unit.rag.filters.world import candidates_of

SUBJECTS = [f"topic{n}" for n in range(60)]
DOCUMENTS = [
    Document(f"{subject}-{n}", f"{subject} word{n} filler" if n < 2 else f"word{n} word{number % 5} filler")
    for number, subject in enumerate(SUBJECTS)
    for n in range(3)
]
KNOWN = [Query(subject, f"{subject} word1") for subject in SUBJECTS]
UNKNOWN = [Query(f"no-{n}", f"nowhere{n} word{n % 3} filler") for n in range(60)]
QUERIES = [query for both in zip(KNOWN, UNKNOWN, strict=True) for query in both]
QRELS = {subject: {f"{subject}-0": 1, f"{subject}-1": 1} for subject in SUBJECTS}


def pipeline(**arguments) -> Pipeline:
    stage = Answerable(**({"risk": 0.1, "depth": 3} | arguments))
    retriever = Hybrid(retrievers=[BM25(top_k=10), BM25(stemmer=None, top_k=10)], top_k=10)
    return Pipeline(retriever=retriever, stages=[stage])


@pytest.fixture(scope="module")
def fitted() -> Pipeline:
    return pipeline().fit(DOCUMENTS, training=Training(QUERIES[:100], QRELS))


class TestPipeline:
    def test_it_answers_what_can_be_answered_and_says_where_it_abstains(self, fitted):
        known, unknown = fitted.search([KNOWN[-1], UNKNOWN[-1]])
        assert [hit.document.id for hit in known][:2] == ["topic59-1", "topic59-0"]
        assert (list(unknown), known.remarks) == ([], ())
        (remark,) = unknown.remarks
        assert (remark.code, remark.message) == (
            "abstained",
            "'answerable' abstains: the documents found probably do not hold the answer (at most 0.1 of questions may "
            "be answered from wrong ones)",
        )

    def test_lists_stay_as_they_were(self, fitted):
        plain = Pipeline(retriever=fitted.retriever.spec.clone()).fit(DOCUMENTS).search(KNOWN[-1])
        hits = fitted.search(KNOWN[-1])
        assert [(hit.document.id, hit.score) for hit in hits] == [(hit.document.id, hit.score) for hit in plain]

    def test_saved_and_loaded_it_decides_alike(self, fitted, tmp_path):
        fitted.save(tmp_path / "index")
        again = Pipeline.load(tmp_path / "index")
        assert again.stages[0].threshold == fitted.stages[0].threshold
        assert [len(result) for result in again.search(QUERIES[100:])] == [
            len(result) for result in fitted.search(QUERIES[100:])
        ]
        assert again.stages[0].notes() == fitted.stages[0].notes()

    def test_evaluation_counts_abstentions_and_the_risk(self):
        asked = [*KNOWN[50:], *UNKNOWN[50:]]
        splits = {
            "train": Split(QUERIES[:100], {query.id: QRELS.get(query.id, {}) for query in QUERIES[:100]}),
            "test": Split(asked, {query.id: QRELS.get(query.id, {}) for query in asked}),
        }
        line = pipeline()
        evaluation = evaluate(line, Dataset("subjects", Corpus.from_documents(DOCUMENTS), splits), timed=False)
        questions = evaluation.metrics["filters"][0]["questions"]
        answered = [len(result) > 0 for result in evaluation.results]
        wrong = [has and result.query.id not in QRELS for has, result in zip(answered, evaluation.results, strict=True)]
        assert questions["abstained"] == answered.count(False)
        assert questions["wrong"] == sum(wrong) / 20
        assert questions["auroc"]["value"] > 0.95
        assert any("calibration questions" in note for note in evaluation.metrics["notes"])

    def test_without_unanswerable_questions_it_says_what_it_needs(self):
        with pytest.raises(DataError, match="learns from questions with and without a relevant document among the fir"):
            pipeline().fit(DOCUMENTS, training=Training(KNOWN, QRELS))
        with pytest.raises(DataError, match="a risk of 0.01 needs at least 198 training questions, got 100"):
            pipeline(risk=0.01).fit(DOCUMENTS, training=Training(QUERIES[:100], QRELS))

    def test_lists_that_are_missing_are_named(self, fitted):
        (stage,) = fitted.stages
        batch = QueryBatch([KNOWN[0]])
        candidates = fitted.run(batch)
        batch.lists.clear()
        with pytest.raises(ModelError, match=r"of which \d+ are not there, such as 'retriever"):
            stage.values(batch, candidates)


class TestThresholds:
    @given(
        st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40),
        st.sampled_from([0.05, 0.1, 0.3, 0.5]),
    )
    def test_the_lowest_that_keeps_the_promise(self, pairs, risk):
        likely, right = np.float32([p for p, _ in pairs]), np.array([r for _, r in pairs])
        n = len(pairs)
        if 1 / (n + 1) > risk + 1e-9:
            with pytest.raises(DataError, match="needs at least"):
                threshold_at_risk(likely, right, risk)
            return
        tried = np.append(np.unique(likely), np.float32(1.5))
        safe = [t for t in tried if (np.sum((likely >= t) & ~right) + 1) / (n + 1) <= risk + 1e-9]
        threshold = threshold_at_risk(likely, right, risk)
        assert (likely >= threshold).tolist() == (likely >= min(safe)).tolist()

    def test_the_promise_of_all_is_kept_on_average_and_not_by_silence(self):
        rng = np.random.default_rng(0)
        wrong, answered = [], []
        for _ in range(400):
            likely = rng.random((2, 60)).astype(np.float32)
            right = rng.random((2, 60)) < likely
            threshold = threshold_at_risk(likely[0], right[0], 0.15)
            wrong.append(((likely[1] >= threshold) & ~right[1]).mean())
            answered.append((likely[1] >= threshold).mean())
        assert 0.15 - 0.03 <= np.mean(wrong) <= 0.15 + 2 * np.std(wrong) / 20
        assert np.mean(answered) > 0.4

    def test_the_promise_of_the_answered_is_kept_with_confidence(self):
        rng = np.random.default_rng(0)
        broken, answered = 0, []
        for _ in range(300):
            taught, likely = rng.random(200).astype(np.float32), rng.random(200).astype(np.float32)
            right = rng.random(200) < likely**0.5
            threshold = largest_share_at_risk(taught, likely, right, 0.2, 0.1)
            share = max(1 - threshold, 0)
            true = 1 - (1 - threshold**1.5) / 1.5 / share if share else 0.0  # of those above it, by integration
            broken += true > 0.2
            answered.append(share)
        assert broken <= 30
        assert np.mean(answered) > 0.3

    def test_of_the_answered_against_another_test(self):
        rng = np.random.default_rng(1)
        likely = rng.random(150).astype(np.float32)
        right = rng.random(150) < likely**0.5
        threshold = largest_share_at_risk(likely, likely, right, 0.25, 0.1)
        cuts = [np.quantile(likely, 1 - n / 10, method="lower") for n in range(1, 11)]
        safe = []
        for cut in cuts:
            n, wrong = int((likely >= cut).sum()), int((~right[likely >= cut]).sum())
            if binomtest(0, n, 0.25, alternative="less").pvalue > 0.1:
                continue  # so few questions show nothing
            if binomtest(wrong, n, 0.25, alternative="less").pvalue > 0.1:
                break
            safe.append(cut)
        assert 1 < len(safe) < 9
        assert np.float32(threshold) == min(safe)
        assert largest_share_at_risk(likely, likely, ~right, 0.01, 0.1) == 2.0  # no test rejects: it never answers

    def test_the_halves_are_the_whole(self):
        taught, held = halves(11, 3)
        assert (len(taught), len(held)) == (5, 6)
        assert sorted([*taught.tolist(), *held.tolist()]) == list(range(11))


class TestFeatures:
    def test_the_shape_of_lists(self):
        table = candidates_of([[4.0, 1.0, 1.0], [2.0], []])
        shape = list_shape(table)
        assert shape["top"].tolist() == [4.0, 2.0, 0.0]
        assert shape["gap"].tolist() == [3.0, 0.0, 0.0]
        assert shape["fall"].tolist() == [2.0, 0.0, 0.0]
        z = (np.array([4.0, 1.0, 1.0]) - 2) / np.std([4.0, 1.0, 1.0])
        assert shape["top in deviations"][0] == pytest.approx(z[0], abs=1e-5)
        assert shape["entropy"].tolist() == pytest.approx([entropy(np.exp(z)) / np.log(10), 0, 0], abs=1e-5)

    def test_words_and_agreement(self, fitted):
        batch = QueryBatch([Query("q", "topic7 word1 elsewhere")])
        candidates = fitted.line().run(batch, n_steps=1)
        features = question_features(batch, candidates, fitted.passages)
        assert features["words of the best passage"].tolist() == pytest.approx([2 / 3])
        assert features["words of three passages"].tolist() == pytest.approx([2 / 3])
        assert features["words"].tolist() == pytest.approx([np.log(4)])
        lists = [set(table.documents[0, :10].tolist()) - {-1} for name, table in batch.lists.items() if "bm25" in name]
        (pair,) = [name for name in features if name.count("bm25") == 2]
        assert features[pair].tolist() == pytest.approx([len(lists[0] & lists[1]) / 10])


class TestProbe:
    def test_against_scikit_learn(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(300, 3)).astype(np.float32) * [1, 10, 0.1] + [0, 5, -3]
        happened = rng.random(300) < 1 / (1 + np.exp(-(x[:, 0] + 0.1 * (x[:, 1] - 5))))
        columns = {name: x[:, n].astype(np.float32) for n, name in enumerate("abc")}
        probe = Probe.of(columns, happened)
        scaler = StandardScaler().fit(x)
        inside = np.clip(scaler.transform(x), -5, 5)
        models = [LogisticRegression(C=c).fit(inside, happened) for c in (0.01, 0.03, 0.1, 0.3, 1.0)]
        best = [model.predict_proba(inside)[:, 1] for model in models]
        assert min(np.abs(probe(columns) - other).max() for other in best) < 1e-3
        assert Probe.from_dict(probe.as_dict()) == probe

    def test_one_kind_alone_teaches_nothing(self):
        with pytest.raises(DataError, match="of 5 questions it happened for 5: two of each are needed"):
            Probe.of({"x": np.arange(5, dtype=np.float32)}, np.ones(5, dtype=bool))
