"""One rule for "better", wherever it is said."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.eval.comparison.comparing import compare_runs
from rag.eval.comparison.significance import compare, paired_t_test
from rag.eval.comparison.verdicts import queries_to_settle, rounded, verdict
from rag.eval.reports.comparison import as_markdown, render_comparison, write_comparison
from rag.eval.runs.reading import RunValues


@pytest.mark.parametrize(
    ("difference", "p_value", "kind"),
    [
        (0.1, 0.049, "better"),
        (-0.1, 0.001, "worse"),
        (0.1, 0.05, "probably_better"),
        (-0.1, 0.199, "probably_worse"),
        (0.1, 0.2, "no_sign"),
        (-0.1, 1.0, "no_sign"),
        (0.0, 1.0, "no_sign"),
    ],
)
def test_the_rule(difference, p_value, kind):
    said = verdict(difference, p_value, effect_size=difference, n_queries=50)
    assert said.kind == kind
    assert (said.queries is None) == (said.proven or not difference)
    assert said.direction == (0 if kind == "no_sign" else np.sign(difference))


def test_alike_is_not_uncertain():
    assert verdict(0.0, 1.0, effect_size=0.0, n_queries=50, differ=False).kind == "alike"


def test_the_queries_that_settle_it_do_so_four_times_in_five():
    effect = 0.25
    needed = queries_to_settle(effect, 20)
    assert needed == 126  # (1.960 + 0.842)^2 / 0.25^2 = 125.6
    drawn = np.random.default_rng(0).normal(effect, 1.0, size=(needed, 4000))
    assert (paired_t_test(drawn) < 0.05).mean() == pytest.approx(0.8, abs=0.03)
    assert queries_to_settle(effect, 20, level=0.05 / 3) > needed  # several pairs
    assert queries_to_settle(effect, 500) == 501  # 500 have not shown it
    assert queries_to_settle(float("inf"), 3) == 6  # all alike: 2 / 2^6 < .05 <= 2 / 2^5
    assert queries_to_settle(0.001, 3) is None
    assert queries_to_settle(0.0, 3) is None
    assert queries_to_settle(0.5, 1) is None
    assert [rounded(n) for n in (7, 99, 101, 126, 1234, 98_700)] == [7, 99, 110, 130, 1300, 99_000]


def values(*differences: float) -> tuple[RunValues, RunValues]:
    names = [f"q{n}" for n in range(len(differences))]
    return (
        RunValues("a", {"nDCG@10": dict.fromkeys(names, 0.5)}),
        RunValues("b", {"nDCG@10": {name: 0.5 + d for name, d in zip(names, differences, strict=True)}}),
    )


def test_an_interval_without_0_proves_nothing_beside_a_p_value_that_does_not():
    """Four queries, all better: the bootstrap's interval leaves 0 out, the exact test says p = .125."""
    differences = (0.1, 0.2, 0.05, 0.1)
    sweep = compare(np.array(differences), np.zeros(4))
    assert sweep.ci95[0] > 0
    assert sweep.p_value == 0.125
    (pair,) = compare_runs(values(*differences)).pairs
    assert (pair.p_value, pair.ci95[0] > 0) == (0.125, True)
    assert sweep.verdict == pair.verdict
    assert pair.verdict.kind == "probably_better"
    assert pair.sentence == (
        "b is probably better than a on nDCG@10, not proven: +.112 [+.063, +.175], p = .125; "
        "4 queries can detect .088; about 6 queries like these would settle it."
    )


def test_all_ways_of_saying_it_agree(tmp_path):
    comparison = compare_runs(values(0.1, 0.2, 0.05, 0.1))
    assert comparison.verdict in as_markdown(comparison)
    assert "| probably better, not proven |" in as_markdown(comparison)
    page = render_comparison(comparison)
    assert html.escape(comparison.verdict) in page
    assert "probably better, not proven" in page
    written = json.loads((write_comparison(comparison, tmp_path / "out") / "compare.json").read_text())
    assert (written["pairs"][0]["verdict"], written["pairs"][0]["queries_to_settle"]) == ("probably_better", 6)
    assert written["verdict"] == comparison.verdict


@given(st.lists(st.floats(-1, 1).map(lambda v: round(v, 2)), min_size=2, max_size=20))
def test_sweeps_and_comparisons_follow_one_rule(differences):
    (pair,) = compare_runs(values(*differences)).pairs
    assert compare(0.5 + np.array(differences), np.full(len(differences), 0.5)).verdict == pair.verdict


def test_what_is_lost_on_other_measures_is_said():
    rng = np.random.default_rng(0)
    names = [f"q{n}" for n in range(60)]

    def run(name, shift):
        noise = {measure: rng.normal(0, 0.02, 60) for measure in ("nDCG@10", "P@5", "AP")}
        return RunValues(
            name,
            {m: {q: 0.5 + sign * shift + float(d) for q, d in zip(names, noise[m], strict=True)}
             for m, sign in (("nDCG@10", 1), ("P@5", -1), ("AP", 0))},
        )  # fmt: skip

    comparison = compare_runs([run("a", 0.0), run("b", 0.1)])
    (loss,) = comparison.losses
    assert loss.startswith("The gain in nDCG@10 has a price: a beats b on P@5 by .")
    assert f"- {loss}" in as_markdown(comparison)
    assert html.escape(loss) in render_comparison(comparison)
    assert comparison.to_dict()["losses"] == [loss]
    assert compare_runs([run("a", 0.0), run("b", 0.0)]).losses == []


def test_settings_that_differ_are_shown():
    def pipeline(k1, *stages):
        return {"type": "pipeline", "retriever": {"type": "bm25", "k1": k1, "b": 0.75}, "stages": list(stages)}

    a, b = values(0.1, 0.2, 0.05, 0.1)
    rerank = {"type": "rerank", "budget": 50}
    ours = [
        RunValues(a.name, a.values, pipeline=pipeline(1.2)),
        RunValues(b.name, b.values, pipeline=pipeline(0.9, rerank)),
    ]
    comparison = compare_runs(ours)
    assert comparison.settings == {"retriever.k1": {"a": 1.2, "b": 0.9}, "stages": {"a": [], "b": [rerank]}}
    assert "| stages | \\[] | \\[{type: rerank, budget: 50}] |" in as_markdown(comparison)
    assert "{type: rerank, budget: 50}" in render_comparison(comparison)
    same = compare_runs([RunValues(run.name, run.values, pipeline=pipeline(1.2)) for run in (a, b)])
    assert same.settings == {}
    assert "The pipelines have the same settings." in as_markdown(same)
    assert compare_runs([a, b]).settings is None  # of a run file nobody knows
    assert "settings" not in as_markdown(compare_runs([a, b]))
