"""What a sweep says of its choice follows the rule of all comparisons."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rag.eval.comparison.significance import compare
from rag.hpo.results.result import SweepResult


def result(metrics=None, **differences):
    """A sweep whose choice differs from the baseline so on the test queries, by measure."""
    names = {"ndcg": "nDCG@10", "p": "P@5"}
    against = {
        names[name]: compare(0.5 + np.array(values), np.full(len(values), 0.5)) for name, values in differences.items()
    }
    goal = SimpleNamespace(metric="nDCG@10")
    sweep = SimpleNamespace(first=goal, goals=[goal])
    best = SimpleNamespace(trial=3, against=against, metrics=metrics or {})
    baseline = SimpleNamespace(trial=None, metrics={})
    return SweepResult(sweep, {}, [], None, [best], baseline)


def test_an_interval_that_leaves_0_out_is_not_proof_beside_p_125():
    swept = result(ndcg=[0.1, 0.2, 0.06, 0.12])
    assert swept.tested[0].against["nDCG@10"].ci95[0] > 0
    assert swept.verdict.startswith("The choice is probably better than the baseline, not proven: +0.120 [+0.0")
    assert swept.verdict.endswith(
        "] in nDCG@10 on the test queries, p = 0.125; about 6 queries like these would settle it."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, 0.2] * 10, "The choice is better than the baseline: +0.150 ["),
        ([-0.1, -0.2] * 10, "The choice is worse than the baseline: -0.150 ["),
        ([-0.1, -0.2, -0.3, -0.1], "The choice is probably worse than the baseline, not proven: -0.175 ["),
        ([0.1, -0.1, 0.04, 0.0], "The choice and the baseline cannot be told apart: +0.010 ["),
        ([0.0] * 9, "The choice and the baseline are alike in nDCG@10 on every test query."),
        ([0.1], "The choice and the baseline cannot be told apart: +0.100 in nDCG@10"),
    ],
)
def test_the_choice_is_said_as_the_rule_has_it(values, words):
    assert result(ndcg=values).verdict.startswith(words)


def test_what_the_choice_loses_on_other_measures_is_said():
    said = result(ndcg=[0.1, 0.2] * 10, p=[-0.1, -0.2, 0.0, -0.1] * 5).verdict
    assert said.endswith(" It loses on other measures: P@5 -0.100 (worse).")
    assert "loses" not in result(ndcg=[0.1, 0.2] * 10, p=[0.1] * 20).verdict
    assert "loses" not in result(ndcg=[0.1, -0.1] * 10, p=[-0.1] * 20).verdict
