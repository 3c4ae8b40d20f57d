"""The verdict of a sweep: its choice against the baseline, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from rag.eval.comparison.pairs import Comparison
from rag.eval.reports.pages import number
from rag.hpo.results.tested import Tested
from rag.hpo.sweep import Sweep

__all__ = ["sentence"]


def sentence(sweep: Sweep, best: Tested, baseline: Tested) -> str:
    """The choice against the baseline, by the rule of all comparisons (:mod:`rag.eval.comparison.verdicts`).

    Args:
        sweep: The sweep with its objectives.
        best: The choice on the test queries.
        baseline: The baseline on the test queries.
    """
    name = sweep.first.metric
    against = best.against.get(name)
    if best.trial is not None and best.trial == baseline.trial:
        return "Nothing better than the baseline was found: the baseline itself is the choice."
    if against is None:
        return "The choice and the baseline were measured on the test queries."
    if against.verdict.kind == "alike":
        return f"The choice and the baseline are alike in {name} on every test query."
    price = ", ".join(
        f"{goal.metric} {number(best.metrics[goal.metric])} instead of {number(baseline.metrics[goal.metric])}"
        for goal in sweep.goals
        if goal.metric != name
    )
    price = f" It has {price}." if price else ""
    return f"{_claim(against, name)}{_losses(best.against, name)}{price}"


def _claim(against: Comparison, measure: str) -> str:
    said = against.verdict
    bounds = f" [{against.ci95[0]:+.3f}, {against.ci95[1]:+.3f}]" if against.ci95 else ""
    p = f"p = {against.p_value:.3f}" if against.p_value >= 0.001 else "p < 0.001"
    facts = f"{against.difference:+.3f}{bounds} in {measure} on the test queries, {p}"
    if said.proven:
        return f"The choice is {said.words} than the baseline: {facts}."
    settled = f"; {said.settled_by}" if said.settled_by else ""
    if said.direction:
        word = "better" if said.direction > 0 else "worse"
        return f"The choice is probably {word} than the baseline, not proven: {facts}{settled}."
    return f"The choice and the baseline cannot be told apart: {facts}; it may be luck{settled}."


def _losses(against: Mapping[str, Comparison], first: str) -> str:
    """The losses on other measures of a better choice, proven or probably."""
    if against[first].verdict.direction <= 0:
        return ""
    lost = [
        f"{measure} {other.difference:+.3f} ({other.verdict.words})"
        for measure, other in against.items()
        if other.verdict.direction < 0
    ]
    return f" It loses on other measures: {', '.join(lost)}." if lost else ""
