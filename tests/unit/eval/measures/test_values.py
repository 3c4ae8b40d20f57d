"""Measures: names, trec_eval's values, intervals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from rag.errors import ConfigError, DataError
from rag.eval.measures.interval import interval
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query

THEIRS = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "P@5": "P_5", "RR": "recip_rank"}

ids = st.sampled_from([f"d{n}" for n in range(12)])
grades = st.dictionaries(ids, st.integers(-1, 3), min_size=1)
# Few distinct scores, so that ties are common.
scores = st.dictionaries(ids, st.integers(0, 3).map(float), max_size=12)


@given(st.lists(st.tuples(grades, scores), min_size=1, max_size=5))
def test_values_are_those_of_trec_eval_ties_included(queries: list[tuple[dict[str, int], dict[str, float]]]) -> None:
    qrels = {f"q{n}": judged for n, (judged, _) in enumerate(queries)}
    run = {f"q{n}": returned for n, (_, returned) in enumerate(queries) if returned}
    reference = pytrec_eval.RelevanceEvaluator(qrels, set(THEIRS.values())).evaluate(run)
    ours = per_query(parse_measures(list(THEIRS)), qrels, run)
    for name, theirs in THEIRS.items():
        expected = {query: reference.get(query, {}).get(theirs, 0.0) for query in qrels}
        assert expected == pytest.approx(ours[name], abs=1e-9)


def test_a_query_without_results_counts_zero() -> None:
    values = per_query(parse_measures(["AP"]), {"a": {"x": 1}, "b": {"y": 1}}, {"a": {"x": 1.0}})
    assert values == {"AP": {"a": 1.0, "b": 0.0}}


def test_a_perfect_ranking_with_one_relevant_document_is_one() -> None:
    run = {"a": {f"d{n}": float(-n) for n in range(10)}}
    assert per_query(parse_measures(["nDCG@10"]), {"a": {"d0": 1}}, run)["nDCG@10"]["a"] == 1.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndcg@10", "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?"),
        ("P@0", "measure 'P@0': the cutoff must be a whole number of at least 1"),
        ("P", "measure 'P': needs a cutoff, such as P@10"),
        ("", "unknown measure ''"),
        ("nDCG@ten", "unknown measure 'nDCG@ten': 'ten' must be a number, or a text in quotes"),
        ("AP(", "unknown measure 'AP(': write it as nDCG@10 or AP(rel=2)"),
        ("AP(rel=x)", "unknown measure 'AP(rel=x)': 'x' must be a number, or a text in quotes"),
        ("__import__('os')", "unknown measure"),
    ],
)
def test_bad_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_measures([name])
    assert str(caught.value).startswith(f"measures: {message}")


def test_all_bad_names_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_measures(["ndcg@10", "AP", "Recal@5"])
    assert [mistake.message.partition(" (valid")[0] for mistake in caught.value.mistakes] == [
        "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?",
        "unknown measure 'Recal@5'; did you mean 'Recall@5'?",
    ]


def test_no_name_is_refused_and_repeated_ones_count_once() -> None:
    with pytest.raises(ConfigError, match="name at least one"):
        parse_measures([])
    assert [str(measure) for measure in parse_measures(["AP", "P@5", "AP"])] == ["AP", "P@5"]


def test_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).beta(0.5, 0.5, size=(200, 2))
    intervals = interval(values, seed=1)
    assert intervals is not None
    for column, (low, high) in enumerate(intervals):
        reference = bootstrap(
            (values[:, column],), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
        ).confidence_interval
        assert (low, high) == pytest.approx((reference.low, reference.high), abs=4e-3)


def test_interval_is_the_same_for_a_seed_and_none_for_one_query() -> None:
    values = np.random.default_rng(0).random((30, 1))
    assert interval(values, seed=7) == interval(values, seed=7)
    assert interval(values, seed=7) != interval(values, seed=8)
    assert interval(values[:1]) is None
    assert interval(np.ones((5, 1))) == [(1.0, 1.0)]


@pytest.mark.parametrize("name", ["nDCG@1.5", "IPrec@2", "AP(rel=0)", "INST", "RBP(p=2)", "P@99999999999"])
def test_what_cannot_be_computed_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(ConfigError, match="measure"):
        parse_measures([name])


def test_negative_grades_are_as_trec_eval_has_them() -> None:
    """Not relevant; but judged, which Bpref and Judged tell from not judged."""
    measures = parse_measures(["nDCG@10", "nDCG", "AP", "RR", "R@5", "P@5", "Rprec", "Bpref", "SetP"])
    rng = np.random.default_rng(0)
    documents = [f"d{n}" for n in range(40)]
    qrels = {
        f"q{n}": {id: int(g) for id, g in zip(documents[:25], rng.integers(-2, 4, 25), strict=True)} for n in range(20)
    }
    run = {query: {id: float(score) for id, score in zip(documents, rng.random(40), strict=True)} for query in qrels}
    names = {"nDCG@10": "ndcg_cut_10", "nDCG": "ndcg", "AP": "map", "RR": "recip_rank", "R@5": "recall_5"}
    names |= {"P@5": "P_5", "Rprec": "Rprec", "Bpref": "bpref", "SetP": "set_P"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(run)
    actual = per_query(measures, qrels, run)
    for ours, theirs in names.items():
        assert {query: values[theirs] for query, values in expected.items()} == actual[ours]


def test_queries_judged_below_minus_one_only_do_not_crash() -> None:
    """pytrec_eval dies of a query whose highest grade is -2, once it has seen another."""
    code = (
        "from rag.eval.measures.names import parse_measures\nfrom rag.eval.measures.values import per_query\n"
        "qrels = {'q': {'a': -2}, 'r': {'a': -3, 'b': -2147483648}, 's': {'a': -1}}\n"
        "run = {query: {'a': 1.0, 'b': 0.5} for query in qrels}\n"
        "for _ in range(100):\n"
        "    values = per_query(parse_measures(['nDCG@10', 'AP']), qrels, run)\n"
        "print(values)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    zeros = {"q": 0.0, "r": 0.0, "s": 0.0}
    assert (0, str({"nDCG@10": zeros, "AP": zeros})) == (done.returncode, done.stdout.strip())


def test_huge_grades_are_refused() -> None:
    (measure,) = parse_measures(["nDCG"])
    assert per_query([measure], {"q": {"a": 10_000}}, {"q": {"a": 1.0}})["nDCG"]["q"] == 1.0
    with pytest.raises(DataError, match="the grade 10001 is out of range"):
        per_query([measure], {"q": {"a": 10_001}}, {"q": {"a": 1.0}})
