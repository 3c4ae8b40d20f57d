"""Measures of filters, against scikit-learn and plain Python; questions without an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss

from rag import ConfigError, Corpus, Document, Pipeline, Platt, Query, QueryBatch, Threshold
from rag.eval import Dataset, Evaluation, Split, evaluate, without_answers
from rag.eval.diagnostics.filtering import calibration_error
from rag.eval.reports.report import render_report
from rag.eval.runs.folder import write_run
from rag.filters.curve import ThresholdCurve
from rag.retrievers import BM25
from tests.fake_runs import write_fake_run
from tests.unit.eval.reports.test_report import check_figures

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]) | st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=30
)


def arrays(pairs: list[tuple[float, bool]]) -> tuple[Any, Any]:
    values, relevant = zip(*pairs, strict=True)
    return np.array(values, dtype=np.float32), np.array(relevant)


@given(PAIRS, st.sampled_from([0.3, 0.5, 0.95, 0.99, 1.0]))
def test_curves_are_those_of_all_thresholds(pairs: list[tuple[float, bool]], level: float) -> None:
    values, relevant = arrays(pairs)
    assume(relevant.any())
    curve = ThresholdCurve.of(values, relevant)
    tried = []
    for threshold in sorted(set(values.tolist()), reverse=True):
        kept = [hit for value, hit in zip(values.tolist(), relevant.tolist(), strict=True) if value >= threshold]
        tried.append((sum(kept) / relevant.sum(), sum(kept) / len(kept), len(kept) / len(values)))
    kept = curve.kept / len(values)
    np.testing.assert_allclose(np.stack([curve.recall, curve.precision, kept], axis=1), tried)
    assert curve.thresholds.tolist() == sorted(set(values.tolist()), reverse=True)
    assert curve.area == pytest.approx(average_precision_score(relevant, values))
    enough = next(point for point in tried if point[0] >= level)
    assert curve.precision[curve.at_recall(level)] == pytest.approx(enough[1])


@given(PAIRS)
def test_calibration_error_is_that_of_ten_bins(pairs: list[tuple[float, bool]]) -> None:
    values, relevant = arrays(pairs)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for value, hit in zip(values.tolist(), relevant.tolist(), strict=True):
        bins.setdefault(min(int(np.float32(value) * np.float32(10)), 9), []).append((value, hit))
    expected = sum(
        abs(sum(v for v, _ in pairs_of_bin) - sum(h for _, h in pairs_of_bin)) for pairs_of_bin in bins.values()
    ) / len(values)
    error, table = calibration_error(values, relevant)
    assert expected == pytest.approx(error, abs=1e-6)
    assert [len(bins[number]) for number in sorted(bins)] == [row["pairs"] for row in table]


WORDS = [f"word{number}" for number in range(12)]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Each word has a document about it, relevant, and one that mentions it, not; queries of two words; two questions
    that nothing answers, one of which shares a word.
    """
    documents = [Document(f"d{n}", f"{word} {word} {word}") for n, word in enumerate(WORDS)]
    documents += [Document(f"e{n}", f"{word} {WORDS[n - 1]} other things") for n, word in enumerate(WORDS)]
    queries = [Query(f"q{n}", f"{word} {WORDS[n - 3]}") for n, word in enumerate(WORDS)]
    qrels: dict[str, dict[str, int]] = {f"q{n}": {f"d{n}": 1, f"e{n}": 0} for n in range(len(WORDS))}
    nulls = [Query("null", "other"), Query("unheard", "of")]
    train = Split(queries[:6], {query.id: qrels[query.id] for query in queries[:6]})
    test = Split([*queries[6:], *nulls], {query.id: qrels.get(query.id, {}) for query in [*queries[6:], *nulls]})
    return Dataset("words", Corpus.from_documents(documents), {"train": train, "test": test})


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset) -> Evaluation:
    pipeline = Pipeline(retriever=BM25(), stages=[Platt(keep={"precision": 0.5})])
    return evaluate(pipeline, dataset, measures=["SetF", "SetP", "SetR", "nDCG@10"], timed=False)


def test_what_a_filter_did_counted_one_by_one(dataset: Dataset, evaluation: Evaluation) -> None:
    (entry,) = evaluation.metrics["filters"]
    batch = QueryBatch(dataset.split("test").queries, trace={})
    evaluation.pipeline.run(batch)
    ids = list(dataset.corpus.ids())
    pairs = []
    for row, query in enumerate(batch.queries):
        left = {int(p) for p in batch.trace["stages.0 platt"].documents[row] if p >= 0}
        given_ = batch.trace["retriever"]
        (filter_,) = evaluation.pipeline.stages
        values = filter_.values(batch, given_)
        for column, position in enumerate(given_.documents[row].tolist()):
            if position >= 0:
                grade = dataset.split("test").qrels[query.id].get(ids[position])
                pairs.append((values[row, column], grade, position in left, query.id))
    relevant = np.array([bool(grade) for _, grade, _, _ in pairs])
    kept = np.array([passed for _, _, passed, _ in pairs])
    probabilities = np.array([value for value, *_ in pairs])
    assert relevant.any()
    assert kept.any()
    assert not kept.all()
    assert (len(pairs), relevant.sum()) == (entry["pairs"], entry["relevant"])
    assert np.mean([grade is not None for _, grade, _, _ in pairs]) == pytest.approx(entry["judged"])
    assert 1 - kept.mean() == pytest.approx(entry["removed"])
    assert kept[relevant].mean() == pytest.approx(entry["recall"])
    assert relevant[kept].mean() == pytest.approx(entry["precision"])
    assert average_precision_score(relevant, probabilities) == pytest.approx(entry["curve"]["pr_auc"])
    assert brier_score_loss(relevant, probabilities) == pytest.approx(entry["brier"])
    answered = {id for _, _, passed, id in pairs if passed}
    assert 1 - len(answered) / len(batch) == pytest.approx(entry["empty"])
    assert entry["unanswerable"] == {"queries": 2, "empty": 1 - len(answered & {"null", "unheard"}) / 2}
    assert len(batch) == sum(bar["queries"] for bar in entry["kept"])
    for outcome, hit in (("lost", True), ("cut", False)):
        scores = [example["score"] for example in entry["examples"][outcome]]
        assert sorted(scores, reverse=True) == scores
        assert all((example["grade"] or 0) > 0 for example in entry["examples"][outcome]) is hit or not scores
    json.dumps(entry, allow_nan=False)


def test_nothing_for_a_question_without_an_answer_counts_one(evaluation: Evaluation) -> None:
    for measure in ("SetP", "SetR", "SetF"):
        assert evaluation.values[measure]["unheard"] == 1.0
    assert evaluation.values["nDCG@10"]["unheard"] == 0.0
    returned = {id for id, documents in evaluation.run.items() if documents}
    assert float("null" not in returned) == evaluation.values["SetF"]["null"]


def test_a_filter_that_keeps_all_or_nothing(dataset: Dataset) -> None:
    for least, removed, precision in ((-1.0, 0.0, True), (1e9, 1.0, False)):
        pipeline = Pipeline(retriever=BM25(), stages=[Threshold(min_score=least)])
        (entry,) = evaluate(pipeline, dataset, measures=["SetF"], timed=False).metrics["filters"]
        assert removed == entry["removed"]
        assert (entry["precision"] is not None) is precision
        assert "ece" not in entry
        assert entry["calibration"] is None


def test_the_report_shows_it(evaluation: Evaluation, tmp_path: Path) -> None:
    html = (write_run(evaluation, tmp_path / "run") / "report.html").read_text(encoding="utf-8")
    (entry,) = evaluation.metrics["filters"]
    for wanted in ("What the filter keeps", "Precision and recall", "Reliability", "Results kept per query", "Lost"):
        assert wanted in html
    assert f"{entry['curve']['pr_auc']:.3f}" in html
    assert 'href="#filters"' in html
    figures = check_figures(html)
    curve, threshold = figures["plot-curve-1"]["data"]  # one curve: platt moves no query against another
    assert entry["curve"]["points"] == [list(point) for point in zip(curve["x"], curve["y"], strict=True)]
    assert [entry["recall"], entry["precision"]] == [threshold["x"][0], threshold["y"][0]]
    assert (np.diff(curve["x"]) >= 0).all()
    assert len(entry["reliability"]) == len(figures["plot-reliability-1"]["data"][1]["x"])


def test_without_filters_the_report_has_no_such_section(tmp_path: Path) -> None:
    html = render_report(write_fake_run(tmp_path, filters=[]))
    assert "What the filter" not in html
    assert 'href="#filters"' not in html


# -- questions without an answer --------------------------------------------------------------------------------------


def test_relevant_documents_of_some_queries_are_taken_out(dataset: Dataset) -> None:
    without = without_answers(dataset, 0.5, seed=3)
    assert without.name == "words-nulls-0.5"
    left = set(without.corpus.ids())
    gone = set(dataset.corpus.ids()) - left
    for name, split in without.splits.items():
        before = dataset.splits[name]
        assert [query.id for query in before.queries] == [query.id for query in split.queries]
        nothing = [id for id, judged in split.qrels.items() if not any(judged.values())]
        assert len(nothing) >= len(split.queries) // 2
        for id, judged in split.qrels.items():
            assert {document: grade for document, grade in before.qrels[id].items() if document in left} == judged
    assert (
        gone
        == {id for split in dataset.splits.values() for judgments in split.qrels.values() for id in judgments} - left
    )
    assert without.corpus.ids() == without_answers(dataset, 0.5, seed=3).corpus.ids()
    assert without.corpus.ids() != without_answers(dataset, 0.5, seed=4).corpus.ids()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_shares_that_are_none(dataset: Dataset, share: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and below 1"):
        without_answers(dataset, share)
