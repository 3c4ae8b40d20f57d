"""Every name that ir_measures knows: it computes the right value, or is refused beforehand with the reason."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import ConfigError, DataError
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import check_qrels, per_query
from rag.eval.runs.reading import read_run_values

QRELS = {
    "q": {"a": 1, "b": 0, "c": 2, "d": 1},
    "nothing": {"a": 0},
    "all": {"a": 1, "b": 1},
    "lost": {"z": 1},
    "empty": {"a": 1},
    "absent": {"a": 1, "b": 2},
    "bare": {},
}
RUN = {
    "q": {"a": 4.0, "b": 3.0, "x": 2.0, "d": 1.0},
    "nothing": {"a": 1.0},
    "all": {"a": 2.0, "b": 1.0},
    "lost": {"b": 1.0},
    "empty": {},
    "bare": {"a": 1.0, "b": 0.5},
}

# Value of "q", and of the other queries where it is not 0. Of q: a (1), b (0), x (not judged), d (1) are returned, in
# this order, and c (2) is not.
VALUES: dict[str, dict[str, float]] = {
    "P@2": {"q": 1 / 2, "all": 1},
    "Precision@2": {"q": 1 / 2, "all": 1},
    "P(rel=2)@2": {},
    "P(judged_only=True)@3": {"q": 2 / 3, "all": 2 / 3},
    "R@2": {"q": 1 / 3, "all": 1},
    "Recall@4": {"q": 2 / 3, "all": 1},
    "Success@1": {"q": 1, "all": 1},
    "RR": {"q": 1, "all": 1},
    "MRR": {"q": 1, "all": 1},
    "RR@1": {"q": 1, "all": 1},
    "RR(judged_only=True)": {"q": 1, "all": 1},
    "AP": {"q": (1 + 2 / 4) / 3, "all": 1},
    "MAP": {"q": (1 + 2 / 4) / 3, "all": 1},
    "AP@1": {"q": 1 / 3, "all": 1 / 2},
    "Rprec": {"q": 1 / 3, "all": 1},
    "RPrec": {"q": 1 / 3, "all": 1},
    "Bpref": {"q": (1 + 0) / 3, "all": 1},
    "BPref": {"q": (1 + 0) / 3, "all": 1},
    "infAP": {"q": 0.5, "all": 1},
    "IPrec@0.1": {"q": 1, "all": 1},
    "IPrec@0": {"q": 1, "all": 1},
    "IPrec@1": {"all": 1},
    "nDCG": {"q": (1 + 1 / np.log2(5)) / (2 + 1 / np.log2(3) + 1 / 2), "all": 1},
    "NDCG@1": {"q": 1 / 2, "all": 1},
    "nDCG(gains={1:5,2:1})@1": {"q": 1, "all": 1},
    "nDCG(dcg='exp-log2')@10": {"q": (1 + 1 / np.log2(5)) / (3 + 1 / np.log2(3) + 1 / 2), "all": 1},
    "nDCG(dcg='exp-log2')": {"q": (1 + 1 / np.log2(5)) / (3 + 1 / np.log2(3) + 1 / 2), "all": 1},
    "nDCG(dcg='exp-log2',judged_only=True)@3": {"q": (1 + 1 / 2) / (3 + 1 / np.log2(3) + 1 / 2), "all": 1},
    "ERR@10": {"q": 1 / 16 + 15 / 16 / 16 / 4, "all": 1 / 16 + 15 / 16 / 16 / 2},
    "ERR": {"q": 1 / 16 + 15 / 16 / 16 / 4, "all": 1 / 16 + 15 / 16 / 16 / 2},
    "RBP(rel=1)": {"q": 0.2 * (1 + 0.8**3), "all": 0.2 * 1.8},
    "RBP(p=0.5,rel=1)@1": {"q": 0.5, "all": 0.5},
    "SetP": {"q": 1 / 2, "all": 1, "bare": 0},
    "SetRelP": {"q": 2 / 3, "all": 1},
    "SetR": {"q": 2 / 3, "all": 1},
    "SetF": {"q": 2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3), "all": 1},
    "SetF(beta=4)": {
        "q": 5 * (1 / 2) * (2 / 3) / (2 / 3 + 4 * (1 / 2)),
        "all": 1,
    },  # trec_eval's: beta stands unsquared
    "SetAP": {"q": 1 / 3, "all": 1},
    "Accuracy": {"q": 1 - (0 + 2) / 2 / 2, "all": 1},
    "Accuracy@1": {"q": 1, "all": 1},
    "Judged": {"q": 3 / 4, "nothing": 1, "all": 1},
    "Judged@10": {"q": 3 / 4, "nothing": 1, "all": 1},
    "Whole": {"all": 1},
    "Whole@1": {},
    "Whole(rel=2)@4": {},
    "Compat": {},  # checked against ir_measures below
    "Compat(p=0.9,normalize=False)": {},
    "NumQ": dict.fromkeys(QRELS, 1.0),
    "NumRel": {"q": 3, "all": 2, "lost": 1, "empty": 1, "absent": 2},
    "NumRel(rel=2)": {"q": 1, "absent": 1},
    "NumRet": {"q": 4, "nothing": 1, "all": 2, "lost": 1, "bare": 2},
    "NumRelRet": {"q": 2, "all": 2},
}

CWL = "it needs the package cwl_eval (pip install ir-measures[cwl_eval])"
SUBTOPICS = "it measures diversity, and judgments here do not say which subtopic a document is about"
REFUSED = {
    "P": "needs a cutoff, such as P@10",
    "R": "needs a cutoff, such as R@10",
    "Success": "needs a cutoff, such as Success@10",
    "IPrec": "needs a recall, such as IPrec@0.5",
    "IPrec@0.123": "the recall must be from 0 to 1 with at most two decimals, as trec_eval has it, got 0.123",
    "RBP": "it needs the grade from which a document is relevant, such as RBP(rel=1)",
    "RBP(p=1.0,rel=1)": "p must be above 0 and below 1, got 1.0",
    "Compat(p=2)": "p must be above 0 and below 1, got 2",
    "BPM(max_rel=2)": "needs a cutoff, such as BPM(max_rel=2)@10",
    "BPM@10": "needs a max_rel, such as max_rel=1",
    "BPM(max_rel=2)@10": CWL,
    "SDCG(max_rel=2)@10": CWL,
    "INST(max_rel=2)": CWL,
    "INST": "needs a max_rel, such as max_rel=1",
    "INSQ(max_rel=2,T=1)": CWL,
    "NERR8(max_rel=2)@10": CWL,
    "NERR9(max_rel=2)@10": CWL,
    "NERR10(max_rel=2)": CWL,
    "NERR11(max_rel=2)": CWL,
    "alpha_nDCG@10": SUBTOPICS,
    "α_nDCG@10": SUBTOPICS,
    "alpha_DCG": SUBTOPICS,
    "α_DCG": SUBTOPICS,
    "ERR_IA@10": SUBTOPICS,
    "nERR_IA@10": SUBTOPICS,
    "NRBP": SUBTOPICS,
    "nNRBP": SUBTOPICS,
    "AP_IA": SUBTOPICS,
    "MAP_IA": SUBTOPICS,
    "P_IA@5": SUBTOPICS,
    "StRecall@5": SUBTOPICS,
    "RR(judged_only=True)@5": "nothing in ir_measures computes it with these parameters",
    "Rprec@5": "has no parameter 'cutoff'",
    "NumQ@5": "has no parameter 'cutoff'",
    "AP(rel='x')": "rel must be a whole number from 1 to 10000, got 'x'",
    "AP(relevance=2)": "has no parameter 'relevance'",
    "P@True": "the cutoff must be a whole number of at least 1",
    "nDCG(dcg='none')@5": "dcg must be one of 'log2', 'exp-log2', got 'none'",
    "nDCG(gains={1:100000})@5": "gains must be whole numbers by grade, from 0 to 10000",
    "nDCG(gains={1:2},dcg='exp-log2')@5": "gains and dcg='exp-log2' say the same thing in two ways",
    "SetP(relative=1)": "relative must be of type bool, got 1",
}


ALL = parse_measures(list(VALUES))


def base(name: str) -> str:
    return name.partition("@")[0].partition("(")[0]


def test_every_name_is_in_the_tables() -> None:
    assert set(ir_measures.measures.registry) == {base(name) for name in (*VALUES, *REFUSED, "PSP")}


@pytest.mark.parametrize("name", VALUES)
def test_it_computes_the_right_value_for_every_query(name: str) -> None:
    measures = parse_measures([name])
    values = per_query(measures, QRELS, RUN)[str(measures[0])]
    if base(name) == "Compat":  # which cannot take a query without results and without relevant documents
        expected = {v.query_id: v.value for v in ir_measures.iter_calc(measures, {"q": QRELS["q"]}, {"q": RUN["q"]})}
        assert expected["q"] == pytest.approx(values["q"])
        assert 0 < expected["q"] < 1
        assert values["empty"] == 0
        return
    assert dict.fromkeys(QRELS, 0.0) | VALUES[name] == pytest.approx(values, abs=1e-5)  # infAP smooths by so much


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_measures([name])
    assert str(caught.value).startswith(f"measures: measure '{name}'")
    assert REFUSED[name] in str(caught.value)


ids = st.sampled_from([f"d{n}" for n in range(6)])
grades = st.dictionaries(ids, st.integers(-3, 4))
scores = st.dictionaries(ids, st.integers(0, 3).map(float))


@settings(max_examples=50)
@given(st.lists(st.tuples(grades, scores, st.booleans()), min_size=1, max_size=4))
def test_none_fails_whatever_is_judged_and_returned(
    queries: list[tuple[dict[str, int], dict[str, float], bool]],
) -> None:
    qrels = {f"q{n}": judged for n, (judged, _, _) in enumerate(queries)}
    run = {f"q{n}": returned for n, (_, returned, there) in enumerate(queries) if there}
    for name, values in per_query(ALL, qrels, run).items():
        assert list(qrels) == list(values)
        assert all(0 <= value and np.isfinite(value) for value in values.values()), name


def test_values_do_not_depend_on_what_else_is_measured() -> None:
    """In one call of trec_eval, NumRet would count judged documents only, and nDCG might have the other's gains."""
    names = [
        "NumRet",
        "P(judged_only=True)@5",
        "nDCG(gains={1:5,2:1})@10",
        "nDCG@10",
        "SetF(beta=2.0)",
        "SetF",
        "P(rel=2)@5",
    ]
    together = per_query(parse_measures(names), QRELS, RUN)
    for name in names:
        measures = parse_measures([name])
        assert per_query(measures, QRELS, RUN)[str(measures[0])] == together[str(measures[0])]


@pytest.mark.skipif(shutil.which("perl") is None, reason="gdeval is a Perl script")
def test_graded_measures_agree_with_gdeval() -> None:
    rng = np.random.default_rng(0)
    documents = [f"d{n:02}" for n in range(40)]
    qrels = {
        str(n): {id: int(g) for id, g in zip(documents[:30], rng.integers(-1, 5, 30), strict=True)} for n in range(1, 9)
    }
    run = {query: {id: float(s) for id, s in zip(documents, rng.permutation(40), strict=True)} for query in qrels}
    measures = [ir_measures.nDCG(dcg="exp-log2") @ 10, ir_measures.ERR @ 10]
    ours = per_query(parse_measures([str(measure) for measure in measures]), qrels, run)
    for value in ir_measures.gdeval.iter_calc(measures, qrels, run):
        assert value.value == pytest.approx(ours[str(value.measure)][value.query_id], abs=1e-5)  # it prints so many


def test_high_grades_stay_finite_and_err_refuses_them() -> None:
    measures = parse_measures(["nDCG(dcg='exp-log2')@10", "ERR@10"])
    qrels, run = {"q": {"a": 10_000, "b": 1}}, {"q": {"a": 2.0, "b": 1.0}}
    assert per_query(measures[:1], qrels, run)["nDCG(dcg='exp-log2')@10"] == {"q": 1.0}
    with pytest.raises(DataError, match=r"the grade 10000 is out of range for ERR, which takes grades up to 4"):
        check_qrels(measures, qrels)


def test_runs_that_are_compared_have_the_same_values(tmp_path: Path) -> None:
    (tmp_path / "all.trec").write_text("q Q0 a 1 2 x\nq Q0 d 2 1 x\n", encoding="utf-8")
    names = ["Accuracy", "ERR@10", "nDCG(dcg='exp-log2')@10", "Judged@10"]
    run_values = read_run_values(tmp_path / "all.trec", measures=names, qrels={"q": QRELS["q"]})
    assert run_values.values["Accuracy"]["q"] == 1.0
    assert names == list(run_values.values)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("nDCG@10", ir_measures.nDCG @ 10),
        ("AP(rel=2)", ir_measures.AP(rel=2)),
        ("nDCG(dcg='exp-log2')@10", ir_measures.nDCG(dcg="exp-log2") @ 10),
        (" R@100 ", ir_measures.R @ 100),
    ],
)
def test_names_are_read_without_what_python_3_14_removed(
    monkeypatch: pytest.MonkeyPatch, name: str, measure: ir_measures.Measure
) -> None:
    for gone in ("Num", "Str", "NameConstant"):
        monkeypatch.delitem(vars(ast), gone, raising=False)  # where they only warn, that is an error of the test
    assert parse_measures([name]) == [measure]
