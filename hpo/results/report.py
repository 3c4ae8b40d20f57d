"""The report of a sweep as one HTML file: the choice, its certainty, important parameters, savings.

Python computes the numbers, :mod:`rag.hpo.results.figures` draws them, ``templates/sweep.html.j2`` lays them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rag.eval.reports.figures import Figure
from rag.eval.reports.pages import number, percent, render_page
from rag.hpo.execution.trials import Finished
from rag.hpo.objectives import COSTS
from rag.hpo.results import figures
from rag.hpo.results.importance import importance
from rag.hpo.results.outcome import SweepOutcome
from rag.hpo.results.summary import summary
from rag.hpo.results.tested import intervals_of, values_of

__all__ = ["render_report"]

_QUERIES = 8
"""Number of queries shown, of the largest gains and of the largest losses."""


def render_report(result: SweepOutcome) -> str:
    """Render the report of a sweep as one self-contained HTML file."""
    view, drawings = _view(result)
    return render_page(
        "sweep.html.j2",
        view,
        package="rag.hpo",
        style="sweep.css",
        figures=drawings,
        filters={"value": figures.value_text},
    )


# -- variables of the template ----------------------------------------------------------------------------------------


def _view(result: SweepOutcome) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Variables for the template, and the figures by id."""
    sweep = result.sweep
    ran = [trial for trial in result.trials if trial.state != "repeated"]
    done = [trial for trial in ran if trial.state == "complete"]
    matter = importance(sweep, result.trials)
    weights = matter.shares
    first = sweep.goals[0]
    order = sorted(
        ran, key=lambda trial: (trial.state != "complete", -first.sign * trial.metrics.get(first.metric, np.nan))
    )
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
        "stopped": [trial for trial in ran if trial.state == "stopped"],
        "failed": [trial for trial in ran if trial.state == "failed"],
        "queries": queries,
        "trials": order,
    }
    return view, drawn


def _rows(result: SweepOutcome) -> list[dict[str, Any]]:
    """The baseline and the choice, with their metrics on the tuning and test queries."""
    by_number = {trial.number: trial for trial in result.trials if trial.state != "repeated"}
    measured = [*([result.baseline] if result.baseline else []), *result.tested]
    rows = []
    for tested in measured:
        trial = by_number.get(tested.trial) if tested.trial is not None else None
        against = tested.against.get(result.sweep.first.metric)
        same = result.baseline is not None and tested.trial is not None and tested.trial == result.baseline.trial
        rows.append(
            {
                "name": tested.name,
                "point": dict(trial.point) if trial else {},
                "tuned": dict(trial.metrics) if trial else {},
                "test": dict(tested.metrics),
                "ci95": intervals_of(tested.evaluation).get(result.sweep.first.metric, {}).get("ci95"),
                "against": None if same else against,
            }
        )
    return rows


def _sharing(ran: Sequence[Finished]) -> dict[str, Any]:
    reused: dict[str, int] = {}
    for trial in ran:
        for artifact in trial.reused:
            reused[artifact] = reused.get(artifact, 0) + 1
    seconds, alone = sum(trial.seconds for trial in ran), sum(trial.alone for trial in ran)
    return {"reused": sorted(reused.items(), key=lambda entry: -entry[1]), "seconds": seconds, "alone": alone}


def _queries(result: SweepOutcome) -> dict[str, Any] | None:
    """The test queries with the largest gains and losses of the choice."""
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
    # An odd number, so that unchanged queries are in the middle bin, with neither gains nor losses.
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
