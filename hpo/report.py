"""A sweep as one HTML file: what was found, how sure that is, which parameters mattered and what sharing saved.

Python shapes the numbers, ``templates/sweep.html.j2`` lays them out. Charts are inline SVG with titles that browsers
show on hover: the page needs no library and no network, and stays some hundred kilobytes where Plotly alone has four
megabytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.pages import render_page
from hpo.distributions import Float, Int, unit
from hpo.outputs import summary
from hpo.result import SweepResult, Tested
from hpo.samplers.additive import Additive
from hpo.space import Parameter
from hpo.study import Finished

__all__ = ["importance", "render_report"]

_LINES = 150
"""Trials in the parallel coordinates, the best first."""
_QUERIES = 8
"""Queries shown of the largest gains, and of the largest losses."""
_CELLS = 6
"""Cells of a range in the map of two parameters."""

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 34


def render_report(result: SweepResult) -> str:
    """The report of a sweep as the text of one self-contained HTML file."""
    return render_page("sweep.html.j2", _view(result), package="hpo", style="sweep.css", filters={"value": _value})


# -- what the template gets --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values to places in a drawing, with ticks at round numbers."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        room = (high - low) * 0.06 or abs(high) * 0.05 or 0.5
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        rough = (self.high - self.low) / 4
        unit = 10 ** np.floor(np.log10(rough))
        step = next(float(unit * many) for many in (1, 2, 5, 10) if unit * many >= rough)
        first = np.ceil(self.low / step) * step
        digits = max(0, -int(np.floor(np.log10(step))))
        return [(self.at(v), f"{v:,.{digits}f}") for v in np.arange(first, self.high, step).tolist()]


def _view(result: SweepResult) -> dict[str, Any]:
    sweep = result.sweep
    ran = [one for one in result.trials if one.state != "repeated"]
    done = [one for one in ran if one.state == "complete"]
    weights = importance(result)
    first = sweep.goals[0]
    order = sorted(ran, key=lambda one: (one.state != "complete", -first.sign * one.metrics.get(first.metric, np.nan)))
    return {
        "result": result,
        "about": result.dataset,
        "summary": summary(result),
        "first": sweep.first.metric,
        "metrics": list(sweep.metrics),
        "rows": _rows(result),
        "verdict": _verdict(result),
        "progress": _progress(result, done) if len(sweep.goals) == 1 else None,
        "front": _front(result, done) if len(sweep.goals) > 1 else None,
        "importance": weights,
        "parallel": _parallel(result, done),
        "map": _map(result, done, weights),
        "sharing": _sharing(ran),
        "stopped": [one for one in ran if one.state == "stopped"],
        "failed": [one for one in ran if one.state == "failed"],
        "queries": _queries(result),
        "trials": order,
        "width": _WIDTH,
        "height": _HEIGHT,
    }


def _rows(result: SweepResult) -> list[dict[str, Any]]:
    """Baseline and what was chosen, with their metrics on the tuning and on the test queries."""
    by_number = {one.number: one for one in result.trials}
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
                "ci95": one.evaluation.metrics["measures"].get(result.sweep.first.metric, {}).get("ci95"),
                "against": None if same else against,
            }
        )
    return rows


def _verdict(result: SweepResult) -> str:
    """One sentence on the choice against the baseline; careful where the interval has both signs."""
    if not result.tested or result.baseline is None:
        return result.problem
    name, best = result.sweep.first.metric, result.tested[0]
    against = best.against.get(name)
    if best.trial is not None and best.trial == result.baseline.trial:
        return "Nothing better than the baseline was found: the baseline itself is the choice."
    if against is None or against.ci95 is None:
        return "The choice and the baseline were measured on the test queries."
    gain, (low, high) = against.difference, against.ci95
    if not against.wins and not against.losses:
        return f"The choice and the baseline are alike in {name} on every test query."
    said = f"{abs(gain):.3f} {'above' if gain > 0 else 'below'} the baseline in {name} on the test queries"
    if low > 0 or high < 0:
        return f"The choice is {said}, and the 95 % interval leaves 0 out."
    return f"The choice is {said}, but the 95 % interval has 0 in it: it may be luck."


def _progress(result: SweepResult, done: Sequence[Finished]) -> dict[str, Any]:
    """Every trial, the best so far, and how the trials that were best fare on the test queries."""
    objective = result.sweep.goals[0]
    usable = [one for one in done if one.feasible]
    tests = {number: test for number, _, test in result.progress}
    values = [one.metrics[objective.metric] for one in done] + list(tests.values())
    x = _Axis(-0.5, max((one.number for one in done), default=1) + 0.5, _LEFT, _WIDTH - _RIGHT)
    y = _Axis.over(values, _HEIGHT - _BOTTOM, _TOP)
    steps, best = [], None
    for one in usable:
        value = one.metrics[objective.metric]
        if best is None or objective.sign * value > objective.sign * best:
            if best is not None:
                steps.append(f"{x.at(one.number)},{y.at(best)}")
            best = value
            steps.append(f"{x.at(one.number)},{y.at(value)}")
    if best is not None:
        steps.append(f"{x.end},{y.at(best)}")
    return {
        "metric": objective.metric,
        "points": [(x.at(t.number), y.at(t.metrics[objective.metric]), t) for t in done],
        "line": " ".join(steps),
        "tests": [(x.at(number), y.at(test), number, test) for number, test in tests.items()],
        "x": [(x.at(n), str(n)) for n in sorted({0, *np.linspace(0, x.high - 0.5, 6).astype(int).tolist()})],
        "y": y.ticks,
    }


def _front(result: SweepResult, done: Sequence[Finished]) -> dict[str, Any]:
    """The first two objectives, the front on the tuning queries, and where its points are on the test queries."""
    across, up = result.sweep.goals[1], result.sweep.goals[0]
    chosen = {one.trial: one for one in result.tested}
    test_values = [(one.metrics[across.metric], one.metrics[up.metric]) for one in result.tested]
    x = _Axis.over([t.metrics[across.metric] for t in done] + [v[0] for v in test_values], _LEFT, _WIDTH - _RIGHT)
    y = _Axis.over([t.metrics[up.metric] for t in done] + [v[1] for v in test_values], _HEIGHT - _BOTTOM, _TOP)
    points = [
        (x.at(t.metrics[across.metric]), y.at(t.metrics[up.metric]), t, t.number in chosen, t.feasible) for t in done
    ]
    moves = []
    for px, py, trial, on_front, _ in points:
        if on_front:
            test: Tested = chosen[trial.number]
            moves.append((px, py, x.at(test.metrics[across.metric]), y.at(test.metrics[up.metric]), test))
    line = " ".join(f"{px},{py}" for px, py, *_ in sorted(moves, key=lambda one: one[0]))
    return {
        "across": across, "up": up, "points": points, "moves": moves, "line": line, "x": x.ticks, "y": y.ticks,
    }  # fmt: skip


def importance(result: SweepResult) -> list[tuple[Parameter, float]]:
    """Share of the variance of the first objective that each parameter's part explains in an additive model, most
    first.

    The same ridge regression as the sampler ``additive`` has, over all complete trials. Interactions are not in it.
    """
    space, objective = result.sweep.space, result.sweep.goals[0]
    done = [one for one in result.trials if one.state == "complete"]
    if len(done) < 3:
        return []
    scores = np.array([one.metrics[objective.metric] for one in done])
    scores = scores - scores.mean()
    model = Additive()
    parts = [model.part(one, [trial.point for trial in done]) for one in space.parameters]
    features = np.concatenate(parts, axis=1)
    weights = np.linalg.solve(features.T @ features + model.ridge * np.eye(features.shape[1]), features.T @ scores)
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    spread = [float((part @ own).var()) for part, own in zip(parts, np.split(weights, ends), strict=True)]
    total = sum(spread)
    found = [(one, value / total if total else 0.0) for one, value in zip(space.parameters, spread, strict=True)]
    return sorted(found, key=lambda one: -one[1])


def _places(parameter: Parameter, trials: Sequence[Finished]) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Where each trial's value lies in [0, 1], None where the parameter does not exist; and labelled ticks."""
    distribution, name = parameter.distribution, parameter.name
    if isinstance(distribution, (Int, Float)):
        places = [unit(distribution, one.point[name]) if name in one.point else None for one in trials]
        return places, [(0.0, _value(distribution.low)), (1.0, _value(distribution.high))]
    values = [(type(value), value) for value in distribution.values() or []]
    room = max(len(values) - 1, 1)
    places = [
        values.index((type(one.point[name]), one.point[name])) / room if name in one.point else None for one in trials
    ]
    return places, [(number / room, _value(value)) for number, (_, value) in enumerate(values)]


def _parallel(result: SweepResult, done: Sequence[Finished]) -> dict[str, Any] | None:
    """A line a trial through its values; the better, the darker."""
    objective = result.sweep.goals[0]
    parameters = result.sweep.space.parameters
    if len(done) < 2:
        return None
    trials = sorted(done, key=lambda one: -objective.sign * one.metrics[objective.metric])[:_LINES]
    scores = np.array([objective.sign * one.metrics[objective.metric] for one in trials])
    shade = (scores - scores.min()) / (np.ptp(scores) or 1.0)
    columns = [_places(one, trials) for one in parameters]
    across = np.linspace(_LEFT + 20, _WIDTH - _RIGHT - 40, len(parameters) + 1)
    low, high = _HEIGHT - _BOTTOM, _TOP + 14.0
    y = _Axis.over([one.metrics[objective.metric] for one in trials], low, high)

    def height(place: float | None) -> float:
        return _HEIGHT - 8.0 if place is None else round(low + place * (high - low), 1)

    lines = []
    for number, trial in enumerate(trials):
        path = [f"{x:.1f},{height(places[number])}" for x, (places, _) in zip(across[:-1], columns, strict=True)]
        path.append(f"{across[-1]:.1f},{y.at(trial.metrics[objective.metric])}")
        lines.append((" ".join(path), f"{0.08 + 0.8 * float(shade[number]) ** 3:.2f}", trial))
    axes = [
        {
            "x": round(float(x), 1),
            "name": parameter.name,
            "short": re.split(r"[.\]]\.?(?=[^\d.\]])", parameter.name)[-1][:16],
            "ticks": [(height(place), label) for place, label in _thinned(ticks)],
        }
        for x, parameter, (_, ticks) in zip(across[:-1], parameters, columns, strict=True)
    ]
    axes.append(
        {"x": round(float(across[-1]), 1), "name": objective.metric, "short": objective.metric, "ticks": y.ticks}
    )
    return {"lines": lines[::-1], "axes": axes, "low": low, "high": high}


def _thinned(ticks: list[tuple[float, str]], most: int = 8) -> list[tuple[float, str]]:
    return [ticks[n] for n in np.unique(np.linspace(0, len(ticks) - 1, min(len(ticks), most)).round().astype(int))]


def _map(
    result: SweepResult, done: Sequence[Finished], weights: Sequence[tuple[Parameter, float]]
) -> dict[str, Any] | None:
    """Mean of the first objective over the trials by cells of the two parameters that matter most."""
    if len(weights) < 2 or weights[1][1] <= 0:
        return None
    objective = result.sweep.goals[0]
    across, up = weights[0][0], weights[1][0]
    both = [one for one in done if across.name in one.point and up.name in one.point]
    if len(both) < 4:
        return None
    columns, column_names = _cells(across, both)
    rows, row_names = _cells(up, both)
    scores = np.array([one.metrics[objective.metric] for one in both])
    sums = np.zeros((len(row_names), len(column_names)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (rows, columns), scores)
    np.add.at(counts, (rows, columns), 1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    seen = means[np.isfinite(means)] * objective.sign
    spread = float(np.ptp(seen)) or 1.0
    cells = [
        [
            {
                "mean": float(means[r, c]),
                "n": int(counts[r, c]),
                "shade": f"{0.1 + 0.9 * (objective.sign * float(means[r, c]) - float(seen.min())) / spread:.2f}",
            }
            if counts[r, c]
            else None
            for c in range(len(column_names))
        ]
        for r in range(len(row_names))
    ]
    return {"across": across.name, "up": up.name, "columns": column_names, "rows": row_names, "cells": cells,
            "metric": objective.metric}  # fmt: skip


def _cells(parameter: Parameter, trials: Sequence[Finished]) -> tuple[npt.NDArray[np.int64], list[str]]:
    values = parameter.distribution.values()
    if isinstance(parameter.distribution, (Int, Float)) and (values is None or len(values) > _CELLS):
        places = np.array([unit(parameter.distribution, one.point[parameter.name]) for one in trials], dtype=float)
        ends = parameter.distribution.values(_CELLS + 1) or []
        names = [f"{_value(low)} – {_value(high)}" for low, high in itertools.pairwise(ends)]
        return np.minimum((places * len(names)).astype(np.int64), len(names) - 1), names
    known = [(type(value), value) for value in values or []]
    found = [known.index((type(one.point[parameter.name]), one.point[parameter.name])) for one in trials]
    return np.array(found), [_value(value) for _, value in known]


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
    if name not in best.values or result.tested[0].trial == result.baseline.trial:
        return None
    queries = best.split.queries
    ours = np.array([best.values[name][query.id] for query in queries])
    theirs = np.array([baseline.values[name][query.id] for query in queries])
    gain = ours - theirs
    order = np.argsort(-gain, kind="stable")
    shown = [*order[:_QUERIES][gain[order[:_QUERIES]] > 0], *order[-_QUERIES:][gain[order[-_QUERIES:]] < 0]]
    rows = [(queries[n], float(theirs[n]), float(ours[n]), float(gain[n])) for n in shown]
    counts, edges = np.histogram(gain, bins=20, range=(-1, 1) if np.abs(gain).max() <= 1 else None)
    bins = [(float(edges[n]), float(edges[n + 1]), int(count)) for n, count in enumerate(counts)]
    return {"metric": name, "rows": rows, "wins": int((gain > 0).sum()), "losses": int((gain < 0).sum()),
            "ties": int((gain == 0).sum()), "bins": bins, "most": max(1, *(count for *_, count in bins))}  # fmt: skip


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
