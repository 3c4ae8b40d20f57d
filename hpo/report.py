"""A sweep as one HTML file: what was found, how sure that is, which parameters mattered and what sharing saved.

Python shapes the numbers, :mod:`rag.hpo.figures` draws them, ``templates/sweep.html.j2`` lays them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rag.eval.figures import Figure
from rag.eval.pages import number, percent, render_page
from rag.hpo import figures
from rag.hpo.importance import importance
from rag.hpo.objectives import COSTS
from rag.hpo.outputs import summary
from rag.hpo.result import SweepResult, intervals_of, values_of
from rag.hpo.trials import Finished

__all__ = ["render_report"]

_QUERIES = 8
"""Queries shown of the largest gains, and of the largest losses."""


def render_report(result: SweepResult) -> str:
    """The report of a sweep as the text of one self-contained HTML file."""
    view, drawings = _view(result)
    return render_page(
        "sweep.html.j2",
        view,
        package="rag.hpo",
        style="sweep.css",
        figures=drawings,
        filters={"value": figures.value_text},
    )


# -- what the template gets --------------------------------------------------------------------------------------------


def _view(result: SweepResult) -> tuple[dict[str, Any], dict[str, Figure]]:
    """What the template gets, and the figures by id."""
    sweep = result.sweep
    ran = [one for one in result.trials if one.state != "repeated"]
    done = [one for one in ran if one.state == "complete"]
    matter = importance(sweep, result.trials)
    weights = matter.shares
    first = sweep.goals[0]
    order = sorted(ran, key=lambda one: (one.state != "complete", -first.sign * one.metrics.get(first.metric, np.nan)))
    queries = _queries(result)
    lines, mapped = figures.parallel(result, done), figures.contour(result, done, weights)
    drawings = {
        "plot-progress": figures.progress(result, done) if done and len(sweep.goals) == 1 else None,
        "plot-front": figures.front(result, done) if done and len(sweep.goals) > 1 else None,
        "plot-importance": figures.importance_bars(weights) if weights else None,
        "plot-parallel": lines,
        "plot-map": mapped[0] if mapped else None,
        "plot-gains": figures.gains(queries["bins"], queries["metric"]) if queries else None,
    }
    drawn = {id: figure for id, figure in drawings.items() if figure is not None}
    view = {
        "result": result,
        "about": result.dataset,
        "summary": summary(result),
        "first": sweep.first.metric,
        "metrics": list(sweep.metrics),
        "rows": _rows(result),
        "verdict": result.verdict,
        "drawn": drawn,
        "importance": matter,
        "map": mapped[1] if mapped else None,
        "sharing": _sharing(ran),
        "stopped": [one for one in ran if one.state == "stopped"],
        "failed": [one for one in ran if one.state == "failed"],
        "queries": queries,
        "trials": order,
    }
    return view, drawn


def _rows(result: SweepResult) -> list[dict[str, Any]]:
    """Baseline and what was chosen, with their metrics on the tuning and on the test queries."""
    by_number = {one.number: one for one in result.trials if one.state != "repeated"}
    tested = [*([result.baseline] if result.baseline else []), *result.tested]
    rows = []
    for one in tested:
        trial = by_number.get(one.trial) if one.trial is not None else None
        against = one.against.get(result.sweep.first.metric)
        same = result.baseline is not None and one.trial is not None and one.trial == result.baseline.trial
        rows.append(
            {
                "name": one.name,
                "point": dict(trial.point) if trial else {},
                "tuned": dict(trial.metrics) if trial else {},
                "test": dict(one.metrics),
                "ci95": intervals_of(one.evaluation).get(result.sweep.first.metric, {}).get("ci95"),
                "against": None if same else against,
            }
        )
    return rows


def _sharing(ran: Sequence[Finished]) -> dict[str, Any]:
    reused: dict[str, int] = {}
    for one in ran:
        for what in one.reused:
            reused[what] = reused.get(what, 0) + 1
    seconds, alone = sum(one.seconds for one in ran), sum(one.alone for one in ran)
    return {"reused": sorted(reused.items(), key=lambda one: -one[1]), "seconds": seconds, "alone": alone}


def _queries(result: SweepResult) -> dict[str, Any] | None:
    """Where the choice gains on the test queries, and where it loses."""
    if not result.tested or result.baseline is None:
        return None
    name = result.sweep.first.metric
    best, baseline = result.tested[0].evaluation, result.baseline.evaluation
    if name in COSTS or result.tested[0].trial == result.baseline.trial:
        return None
    queries = best.split.queries
    ours, theirs = values_of(best, name), values_of(baseline, name)
    gain = ours - theirs
    order = np.argsort(-gain, kind="stable")
    shown = [*order[:_QUERIES][gain[order[:_QUERIES]] > 0], *order[-_QUERIES:][gain[order[-_QUERIES:]] < 0]]
    rows = [(queries[n], float(theirs[n]), float(ours[n]), float(gain[n])) for n in shown]
    most = max(float(np.abs(gain).max()), 1.0)
    # An odd number: what has not changed is in the middle, neither with the gains nor with the losses.
    counts, edges = np.histogram(gain, bins=21, range=(-1.05 * most, 1.05 * most))
    bins = [(float(edges[n]), float(edges[n + 1]), int(count)) for n, count in enumerate(counts)]
    return {
        "metric": name,
        "rows": rows,
        "wins": int((gain > 0).sum()),
        "losses": int((gain < 0).sum()),
        "ties": int((gain == 0).sum()),
        "bins": bins,
        "numbers": [[number(low), number(high), f"{count:,}", percent(count / len(gain))] for low, high, count in bins],
    }
