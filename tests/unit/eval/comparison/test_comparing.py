"""Comparing runs: what is said, on which queries, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import nDCG

from rag import ConfigError, Corpus, DataError, Document, Pipeline, Query
from rag.errors import ArtifactError
from rag.eval import (
    Dataset,
    RunValues,
    Split,
    compare_runs,
    evaluate,
    read_run_values,
    write_comparison,
)
from rag.eval.reports import comparison as comparison_report
from rag.eval.reports.comparison import as_latex, as_markdown, render_comparison
from rag.eval.reports.escaping import markdown
from rag.eval.runs.folder import write_run
from rag.eval.runs.reading import read_trec
from rag.retrievers import BM25
from tests.fake_runs import write_fake_run

RNG = np.random.default_rng(0)
QUERIES = [f"q{n}" for n in range(50)]


def run(name, shift=0.0, queries=QUERIES, measures=("nDCG@10", "AP")):
    rng = np.random.default_rng(5)

    def values():
        return dict(zip(queries, (rng.random(len(queries)) * 0.5 + shift).tolist(), strict=True))

    return RunValues(name, {measure: values() for measure in measures})


def noisy(name, shift, spread=0.05):
    base = run("x").values["nDCG@10"]
    return RunValues(name, {"nDCG@10": {q: v + shift + float(RNG.normal(0, spread)) for q, v in base.items()}})


def test_a_difference_is_said_in_a_sentence():
    comparison = compare_runs([noisy("a", 0.0), noisy("b", 0.1)])
    (pair,) = comparison.pairs
    assert ("b", "a", 50) == (pair.run, pair.baseline, pair.n_queries)
    assert pair.significant
    assert pair.sentence.startswith("b beats a on nDCG@10 by .")
    assert pair.sentence.endswith("; 50 queries can detect " + f"{pair.detectable:.3f}".replace("0.", ".") + ".")
    assert pair.ci95[0] < pair.difference < pair.ci95[1]
    swapped = compare_runs([noisy("b", 0.1), noisy("a", 0.0)]).pairs[0]
    assert swapped.sentence.startswith("b beats a on nDCG@10 by .")
    assert swapped.difference < 0


def test_no_difference_is_not_called_one():
    (pair,) = compare_runs([run("a"), run("b")], baseline="a").pairs[:1]
    assert (0.0, 1.0, 0, 50, 0) == (pair.difference, pair.p_corrected, pair.wins, pair.ties, pair.losses)
    assert pair.sentence == "b and a are alike in nDCG@10 on every query."
    a, b = ({f"q{n}": (n * k % 11) / 10 for n in range(11)} for k in (3, 4))
    (pair,) = compare_runs([RunValues("a", {"AP": a}), RunValues("b", {"AP": b})]).pairs
    assert pair.sentence.startswith("b and a cannot be told apart on AP: ")
    assert pair.verdict.kind == "no_sign"


def test_all_pairs_or_all_against_one():
    runs = [noisy(name, 0.01 * number) for number, name in enumerate("abcd")]
    assert len(compare_runs(runs).pairs) == 6
    against = compare_runs(runs, baseline="c").pairs
    assert [(pair.run, pair.baseline) for pair in against] == [("a", "c"), ("b", "c"), ("d", "c")]
    holm = compare_runs(runs).pairs
    plain = compare_runs(runs, correction="none").pairs
    assert all(pair.p_corrected >= other.p_corrected == other.p_value for pair, other in zip(holm, plain, strict=True))


def test_queries_that_all_have_are_compared():
    comparison = compare_runs([run("a"), run("b", queries=QUERIES[10:]), run("c", queries=QUERIES[:40])])
    assert comparison.n_queries == 30
    assert comparison.notes == [
        "a: 20 of its 50 queries are not in every run and are left out",
        "b: 10 of its 40 queries are not in every run and are left out",
        "c: 10 of its 40 queries are not in every run and are left out",
    ]
    with pytest.raises(DataError, match="a: 20 of its 50 queries are not in every run: the runs are on different"):
        compare_runs([run("a"), run("b", queries=QUERIES[10:]), run("c", queries=QUERIES[:40])], strict=True)


def test_runs_of_different_datasets_are_said():
    runs = [replace(run(name), dataset=dataset) for name, dataset in (("a", "x / test"), ("b", "y / test"), ("c", ""))]
    (note,) = compare_runs(runs).notes
    assert note == "the runs are on different datasets: a on x / test, b on y / test"
    with pytest.raises(DataError, match="different datasets"):
        compare_runs(runs, strict=True)
    assert not compare_runs(runs[1:]).notes  # of a bare run file it is not known


def test_one_query_has_no_interval():
    (pair,) = compare_runs(
        [run("a", queries=["q"], measures=["AP"]), run("b", 0.1, queries=["q"], measures=["AP"])]
    ).pairs
    assert (None, None, 1.0) == (pair.ci95, pair.detectable, pair.p_value)
    assert "(one query: no interval)" in pair.sentence


@pytest.mark.parametrize(
    ("runs", "options", "message"),
    [
        ([run("a")], {}, "runs: at least two runs are needed, got 1"),
        ([run("a"), run("a")], {}, "runs: two runs are called 'a': name them with NAME=PATH"),
        ([run("a"), run("b")], {"baseline": "c"}, "baseline: no run is called 'c'"),
        (
            [run("a"), run("b", measures=["P@5"])],
            {},
            "measures: the runs have no measure in common (a: nDCG@10, AP; b: P@5)",
        ),
        ([run("a"), run("b", queries=["other"])], {}, "the runs have no query in common"),
    ],
)
def test_what_cannot_be_compared(runs, options, message):
    with pytest.raises((ConfigError, DataError)) as caught:
        compare_runs(runs, **options)
    assert str(caught.value).startswith(message)


def test_the_verdict_names_the_best_and_what_it_beats():
    def shifted(name, *shifts):
        base = run("x").values["nDCG@10"]
        return RunValues(name, {"nDCG@10": {q: v + shifts[n % len(shifts)] for n, (q, v) in enumerate(base.items())}})

    runs = [shifted("a", 0.0), shifted("b", 0.3, 0.1), shifted("c", 0.09, 0.3, 0.1, 0.3), shifted("d", -0.1, -0.2)]
    mean = f"{np.mean(list(runs[1].values['nDCG@10'].values())):.3f}".removeprefix("0")
    comparison = compare_runs([*runs, shifted("e", 0.3, 0.1, 0.3, 0.1, 0.28, 0.1)])
    assert comparison.verdict == (
        f"b has the highest nDCG@10, {mean}; it is better than a, d and e, without a sign of a difference to c."
    )
    comparison = compare_runs(runs, baseline="a")
    assert comparison.verdict == "By nDCG@10 the baseline a is beaten by b and c, better than d."
    comparison = compare_runs(runs[:2])
    assert comparison.pairs[0].sentence == comparison.verdict
    assert comparison.verdict in as_markdown(comparison)


def test_what_is_not_corrected_is_not_said_to_be():
    runs = [noisy("a", 0.0), noisy("b", 0.1)]
    assert "< .001; 50" in compare_runs(runs).pairs[0].sentence  # a single pair
    assert "< .001 corrected; 50" in compare_runs([*runs, noisy("c", 0.0)]).pairs[0].sentence
    assert "< .001; 50" in compare_runs(runs, correction="none").pairs[0].sentence


def test_of_very_many_queries_those_that_differ_most_are_listed(monkeypatch):
    monkeypatch.setattr(comparison_report, "_ROWS", 5)
    queries = [f"q{n}" for n in range(20)]
    ours = {query: 0.5 + (n - 10) / 50 for n, query in enumerate(queries)}
    page = render_comparison(
        compare_runs([RunValues("a", {"AP": dict.fromkeys(queries, 0.5)}), RunValues("b", {"AP": ours})])
    )
    listed = re.findall(r'<td class="question" dir="auto">(q\d+)', page)
    assert listed == ["q19", "q18", "q2", "q1", "q0"]  # gains and losses
    assert "of 20 queries the 5 on which the runs differ most by AP" in page


def test_names_that_mean_something_to_latex_and_markdown():
    runs = [noisy(r"a\b^c~d", 0.0), noisy("<b>`|\\|", 0.1)]
    comparison = compare_runs(runs)
    assert r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d &" in as_latex(comparison)
    assert r"| \<b>\`\|\\\| |" in as_markdown(comparison)


def test_files_for_people(tmp_path):
    runs = [noisy("base|line", 0.0), noisy("ours_100%", 0.1)]
    comparison = compare_runs(runs, baseline="base|line")
    text, latex = as_markdown(comparison), as_latex(comparison)
    assert "| base\\|line | 0." in text
    assert f"- {markdown(comparison.pairs[0].sentence)}" in text
    assert "ours\\_100\\% & \\textbf{0." in latex
    assert "$^\\dagger$" in latex
    folder = write_comparison(comparison, tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {"compare.html", "compare.json", "compare.md", "compare.tex"}
    written = json.loads((folder / "compare.json").read_text())
    assert comparison.pairs[0].sentence == written["pairs"][0]["sentence"] == written["verdict"]
    page = (folder / "compare.html").read_text()
    assert "base|line" in page
    assert "http" not in page.replace("http-equiv", "")
    write_comparison(comparison, folder)  # again is fine
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(ArtifactError, match="holds other files than a comparison"):
        write_comparison(comparison, tmp_path / "other")


# -- run files --------------------------------------------------------------------------------------------------------


def test_judged_queries_that_a_run_file_lacks_count_0_and_that_is_said(tmp_path):
    (tmp_path / "part.trec").write_text("a Q0 d 1 0.5 x\nother Q0 d 1 0.5 x\n")
    run_values = read_run_values(tmp_path / "part.trec", qrels={"a": {"d": 1}, "b": {"d": 1}, "c": {"d": 1}})
    assert run_values.values["nDCG@10"] == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert run_values.notes == [
        "part.trec: 1 queries of the run are not judged and do not count",
        "part.trec: 2 of 3 judged queries are not in the run file and count 0",
        "part.trec: the longest list has 1 document, so nDCG@10 looks no further than that: what is below was never "
        "returned",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "run: is empty: no run"),
        ("q Q0 d 1 0.5 x\n\nq Q0 e 2 0.4\n", "run:3: expected 6 columns (query Q0 document rank score tag), got 5"),
        ("q Q0 d 1 high x\n", "run:1: the score must be a number, got 'high'"),
        ("q Q0 d 1 nan x\n", "run:1: the score must be a finite float32, got 'nan'"),
        ("q Q0 d 1 0.5 x\nq Q0 d 2 0.4 x\n", "run:2: document 'd' is listed twice for query 'q'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, lines, message):
    (tmp_path / "run").write_text(lines)
    with pytest.raises(DataError) as caught:
        read_trec(tmp_path / "run")
    assert message == str(caught.value).replace(f"{tmp_path}/", "")


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 0.25, 1.0, 1e-9, -3.0]), min_size=1, max_size=12),
    grades=st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
def test_ties_are_broken_as_trec_eval_does(tmp_path_factory, scores, grades):
    folder = tmp_path_factory.mktemp("trec")
    names = [f"d{number * 7 % 12}" for number in range(len(scores))]
    (folder / "run").write_text(
        "".join(f"q Q0 {d} {n} {s} x\n" for n, (d, s) in enumerate(zip(names, scores, strict=False)))
    )
    qrels = {"q": {f"d{number}": grade for number, grade in enumerate(grades)}}
    run_values = read_run_values(folder / "run", measures=["nDCG@5"], qrels=qrels)
    expected = next(
        iter(ir_measures.pytrec_eval.iter_calc([nDCG @ 5], qrels, {"q": dict(zip(names, scores, strict=False))}))
    )
    assert expected.value == pytest.approx(run_values.values["nDCG@5"]["q"], abs=1e-9)


def test_sources_that_are_no_runs(tmp_path):
    with pytest.raises(ArtifactError, match="no run there"):
        read_run_values(tmp_path / "none")
    (tmp_path / "run").write_text("q Q0 d 1 0.5 x\n")
    with pytest.raises(ConfigError, match="is a run file: give judgments"):
        read_run_values(tmp_path / "run")
    with pytest.raises(DataError, match="none of its 1 queries is judged"):
        read_run_values(tmp_path / "run", qrels={"p": {"d": 1}})
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match="no run there \\(no metrics.json\\)"):
        read_run_values(tmp_path / "folder")
    (tmp_path / "folder" / "metrics.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        read_run_values(tmp_path / "folder")
    partly = read_run_values(tmp_path / "run", qrels={"q": {"d": 1}, "unanswered": {"d": 1}})
    assert partly.values["nDCG@10"] == {"q": 1.0, "unanswered": 0.0}


def test_ids_come_back_as_they_were(tmp_path):
    documents = [Document(id, "cat") for id in ("a b", "a%20c", "a%41", "a%41 d", "%", "e\u00a0f", "100%")]
    for query_id in ("q", "q%41", "q 1%", "q%20r"):
        split = Split([Query(query_id, "cat")], {query_id: {document.id: 1 for document in documents}})
        evaluation = evaluate(
            Pipeline(retriever=BM25()), Dataset("d", Corpus.from_documents(documents), {"test": split})
        )
        folder = write_run(evaluation, tmp_path / "run")
        again = read_run_values(folder, measures=["R@100", "nDCG@10"], qrels=split.qrels).values
        assert again == {"R@100": {query_id: 1.0}, "nDCG@10": {query_id: 1.0}}


def test_runs_that_are_alike_say_nothing_of_what_could_be_detected() -> None:
    values = {"R@100": {"q1": 1.0, "q2": 0.5}}
    pair = compare_runs([RunValues("a", values), RunValues("b", values)]).pairs[0]
    assert pair.detectable is None
    assert "detect" not in pair.sentence


def test_one_dataset_whose_judgments_were_changed_in_between_is_said(tmp_path: Path) -> None:
    corpus = Corpus.from_documents([Document("x", "one thing"), Document("y", "another thing")])
    queries = [Query("q1", "one"), Query("q2", "another")]
    for name, right in (("a", "x"), ("b", "y"), ("c", "x")):
        dataset = Dataset("d", corpus, {"test": Split(queries, {"q1": {right: 1}, "q2": {"y": 1}})})
        write_run(evaluate(Pipeline(retriever=BM25()), dataset, measures=["nDCG@10"]), tmp_path / name)
    a, b, c = (read_run_values(tmp_path / name) for name in "abc")
    assert not compare_runs([a, c], strict=True).notes
    (note,) = compare_runs([a, b]).notes
    assert note.startswith("the runs are on one dataset, but its queries or judgments differ")
    with pytest.raises(DataError, match="on one dataset, but"):
        compare_runs([a, b], strict=True)
    edited = Corpus.from_documents([Document("x", "one thing"), Document("y", "another thing, edited")])
    split = Split(queries, {"q1": {"x": 1}, "q2": {"y": 1}})
    write_run(evaluate(Pipeline(retriever=BM25()), Dataset("d", edited, {"test": split})), tmp_path / "d")
    assert (compare_runs([a, read_run_values(tmp_path / "d")]).notes) == [
        "the runs are on one dataset, but its documents differ between them"
    ]


def test_what_a_query_costs_is_compared_where_it_is_known(tmp_path):
    latency = {"p50": 41.3, "p95": 78.9, "n_queries": 5}
    write_fake_run(tmp_path / "a", latency_ms=latency)
    write_fake_run(tmp_path / "b", latency_ms=None, costs={"seconds": 1.0, "scorer_calls": 0, "llm_tokens": 1200})
    runs = [read_run_values(tmp_path / name) for name in "ab"]
    assert runs[0].costs == {"latency p50, ms": 41.3, "latency p95, ms": 78.9, "scorer calls": 60}
    assert runs[1].costs == {"LLM tokens": 10}
    comparison = compare_runs(runs)
    assert runs[0].costs == comparison.to_dict()["costs"]["a"]
    lines = as_markdown(comparison).splitlines()
    assert any(line.endswith("| latency p50, ms | latency p95, ms | scorer calls | LLM tokens |") for line in lines)
    assert any(line.startswith("| b |") and line.endswith("| – | – | – | 10 |") for line in lines)
    assert "Latency p50, ms" in render_comparison(comparison)
