"""The figures of a sweep's report, as Plotly's JSON; see :mod:`rag.eval.reports.figures`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.eval.reports.figures import Figure, bars, label, line
from rag.hpo.execution.trials import Finished
from rag.hpo.results.outcome import SweepOutcome
from rag.hpo.space.distributions import FloatRange, IntRange, unit
from rag.hpo.space.parameter import Parameter

__all__ = ["Cells", "contour", "front", "gains", "importance_bars", "parallel", "progress", "value_text"]

_LINES = 150
"""Trials shown in the parallel coordinates, the best ones."""
_CELLS = 6
"""Cells per axis in the map of two parameters."""
_ABSENT = -0.12
"""Height at which the parallel coordinates show a parameter that does not exist."""

_RING = {"color": "<paper>", "size": 9, "line": {"color": "<good>", "width": 2}}


def value_text(value: Any) -> str:
    """Format a parameter's value for reading."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def progress(result: SweepOutcome, done: Sequence[Finished]) -> Figure:
    """Show every trial, the best so far, and the test values of trials that were the best."""
    objective = result.sweep.goals[0]
    steps: list[tuple[int, float]] = []
    for trial in done:
        value = trial.metrics[objective.metric]
        if trial.feasible and (not steps or objective.sign * value > objective.sign * steps[-1][1]):
            steps.append((trial.number, value))
    if steps:
        steps.append((max(trial.number for trial in done), steps[-1][1]))
    best = line([n for n, _ in steps], [v for _, v in steps], name="the best so far", hoverinfo="skip")
    best["line"]["shape"] = "hv"
    tests = {trial_number: test for trial_number, _, test in result.progress}
    rings = line(list(tests), list(tests.values()), name=f"on {label(result.dataset['test'])}", mode="markers")
    rings |= {"marker": _RING, "hovertemplate": "trial %{x} on the test queries: %{y:.3f}<extra></extra>"}
    dots = _trials(done, [trial.number for trial in done], [trial.metrics[objective.metric] for trial in done])
    axes = {"xaxis": {"title": {"text": "trial"}}, "yaxis": {"title": {"text": label(objective.metric)}}}
    return {"data": [best, dots, rings], "layout": {**axes, "showlegend": True}}


def front(result: SweepOutcome, done: Sequence[Finished]) -> Figure:
    """Show the first two objectives, the front on the tuning queries, and its points on the test queries."""
    up, across = (goal.metric for goal in result.sweep.goals[:2])
    tested = {test.trial: test for test in result.tested}
    chosen = sorted((trial for trial in done if trial.number in tested), key=lambda trial: trial.metrics[across])
    others = [trial for trial in done if trial.number not in tested]
    best = line([trial.metrics[across] for trial in chosen], [trial.metrics[up] for trial in chosen], name="the front")
    best |= _hover(chosen) | {"mode": "lines+markers", "marker": {"color": "<accent>", "size": 9}}
    best["line"]["shape"] = (
        "hv" if result.sweep.goals[1].sign < 0 else "vh"
    )  # the attainable region, without interpolation
    moves: tuple[list[float | None], list[float | None]] = ([], [])
    for trial in chosen:
        after = tested[trial.number].metrics
        moves[0].extend([trial.metrics[across], after[across], None])
        moves[1].extend([trial.metrics[up], after[up], None])
    dashes = line(*moves, hoverinfo="skip", showlegend=False)
    dashes["line"] = {"color": "<good>", "width": 1, "dash": "dot"}
    rings = line(moves[0][1::3], moves[1][1::3], name=f"on {label(result.dataset['test'])}", mode="markers")
    rings |= {"marker": _RING} | _hover(chosen)
    dots = _trials(others, [trial.metrics[across] for trial in others], [trial.metrics[up] for trial in others])
    axes = {"xaxis": {"title": {"text": label(across)}}, "yaxis": {"title": {"text": label(up)}}}
    return {"data": [dots, dashes, best, rings], "layout": {**axes, "showlegend": True}}


def importance_bars(weights: Sequence[tuple[Parameter, float]]) -> Figure:
    """Show one bar per parameter, the most important on top."""
    names = [label(parameter.name, 40) for parameter, _ in weights]
    shares = [share for _, share in weights]
    figure = bars(shares, names, hover=[f"{n}: {s:.1%}" for n, s in zip(names, shares, strict=True)])
    figure["data"][0]["orientation"] = "h"
    figure["layout"] |= {
        "xaxis": {"rangemode": "tozero", "tickformat": ".0%"},
        "yaxis": {"autorange": "reversed", "type": "category"},
    }
    return figure


def parallel(result: SweepOutcome, done: Sequence[Finished]) -> Figure | None:
    """Show each trial as a line through its values, with axes from the least to the largest; darker is better.

    Plotly's own parallel coordinates need WebGL.
    """
    objective = result.sweep.goals[0]
    parameters = result.sweep.space.parameters
    if len(done) < 2:
        return None
    trials = sorted(done, key=lambda trial: -objective.sign * trial.metrics[objective.metric])[:_LINES]
    metric = np.array([trial.metrics[objective.metric] for trial in trials])
    height = (metric - metric.min()) / (np.ptp(metric) or 1.0)
    shade = height if objective.sign > 0 else 1 - height
    columns = [_places(parameter, trials) for parameter in parameters]
    columns.append((height.tolist(), [(0.0, value_text(float(metric.min()))), (1.0, value_text(float(metric.max())))]))
    words = _hover(trials)["hovertext"]
    data = [
        line(
            list(range(len(columns))),
            [_ABSENT if (at := places[row]) is None else at for places, _ in columns],
            opacity=round(0.08 + 0.8 * float(shade[row]) ** 3, 2),
            line={"color": "<accent>", "width": 1.5},
            hovertext=words[row],
            hoverinfo="text",
        )
        for row in range(len(trials))
    ]
    ticks = [
        {
            "x": n,
            "y": at,
            "text": label(name, 16),
            "xanchor": "left",
            "xshift": 3,
            "showarrow": False,
            "bgcolor": "<paper>",
            "borderpad": 0,
            "opacity": 0.9,
            "font": {"color": "<ink>", "size": 11},
        }
        for n, (_, marks) in enumerate(columns)
        for at, name in _thinned(marks)
    ]
    names = [re.split(r"[.\]]\.?(?=[^\d.\]])", parameter.name)[-1] for parameter in parameters] + [objective.metric]
    across = {
        "tickvals": list(range(len(names))),
        "ticktext": [label(name, 20) for name in names],
        "range": [-0.1, len(names) - 0.4],
        "side": "top",
    }
    up = {"range": [_ABSENT - 0.04, 1.05], "showticklabels": False, "showgrid": False}
    layout = {"xaxis": across, "yaxis": up, "margin": {"t": 48, "l": 12, "b": 12}, "annotations": ticks}
    return {"data": data[::-1], "layout": layout}


@dataclass(frozen=True, slots=True)
class Cells:
    """Mean of the first objective over the trials by cells of two parameters.

    Args:
        across: Name of the parameter across.
        up: Name of the parameter upwards.
        metric: Name of the objective.
        columns: Names of the cells across.
        rows: Names of the cells upwards.
        means: Mean of the objective, float64 [rows, columns]; NaN where there is no trial.
        counts: Number of trials, float64 [rows, columns].
    """

    across: str
    up: str
    metric: str
    columns: Sequence[str]
    rows: Sequence[str]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]

    @property
    def numbers(self) -> list[list[str]]:
        """Rows of a table: both values, the mean, and the number of trials."""
        filled = zip(*np.nonzero(self.counts), strict=True)
        return [
            [self.columns[c], self.rows[r], f"{self.means[r, c]:.3f}", f"{self.counts[r, c]:.0f}"] for r, c in filled
        ]


def contour(
    result: SweepOutcome, done: Sequence[Finished], weights: Sequence[tuple[Parameter, float]]
) -> tuple[Figure, Cells] | None:
    """Show the first objective over the two most important parameters, with its numbers; None with too few trials.
    Contours for two ranges, otherwise a map of cells; dots are the trials.
    """
    if len(weights) < 2 or weights[1][1] <= 0:
        return None
    objective = result.sweep.goals[0]
    across, up = weights[0][0], weights[1][0]
    both = [trial for trial in done if across.name in trial.point and up.name in trial.point]
    if len(both) < 4:
        return None
    x, column_names = _scale(across, both)
    y, row_names = _scale(up, both)
    shape = len(row_names), len(column_names)
    cell = tuple(np.clip(np.rint(at), 0, n - 1).astype(np.int64) for at, n in zip((y, x), shape, strict=True))
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, cell, [trial.metrics[objective.metric] for trial in both])
    np.add.at(counts, cell, 1)
    means = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    ranges = (
        all(isinstance(parameter.distribution, (IntRange, FloatRange)) for parameter in (across, up)) and min(shape) > 2
    )
    surface = {
        "type": "contour" if ranges else "heatmap",
        "z": [[None if np.isnan(value) else value for value in row] for row in means.tolist()],
        "colorscale": [[0, "<wash>"], [1, "<accent>"]],
        "reversescale": objective.sign < 0,
        "connectgaps": ranges,
        "hovertemplate": "mean %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickfont": {"color": "<soft>"}},
    }
    dots = line(x.tolist(), y.tolist(), mode="markers", cliponaxis=False, **_hover(both))
    dots["marker"] = {"color": "<paper>", "size": 7, "line": {"color": "<ink>", "width": 1}}
    axes = {
        axis: {
            "title": {"text": label(parameter.name, 40)},
            "tickvals": list(range(len(names))),
            "ticktext": [label(name, 24) for name in names],
            "range": [-0.5, len(names) - 0.5],
            "showgrid": False,
        }
        for axis, parameter, names in (("xaxis", across, column_names), ("yaxis", up, row_names))
    }
    cells = Cells(across.name, up.name, objective.metric, column_names, row_names, means, counts)
    return {"data": [surface, dots], "layout": axes}, cells


def gains(bins: Sequence[tuple[float, float, int]], metric: str) -> Figure:
    """Show a histogram of the gains of test queries over the baseline."""
    middles = [(low + high) / 2 for low, high, _ in bins]
    hover = [f"{low:+.2f} to {high:+.2f}: {count:,} queries" for low, high, count in bins]
    return bars(middles, [c for *_, c in bins], hover=hover, x=f"{label(metric)}, choice minus baseline", y="queries")


def _trials(trials: Sequence[Finished], x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    opacity = [0.65 if trial.feasible else 0.25 for trial in trials]
    dots = line(x, y, name="trials", mode="markers", **_hover(trials))
    return dots | {"marker": {"color": "<soft>", "size": 8, "opacity": opacity}}


def _hover(trials: Sequence[Finished]) -> dict[str, Any]:
    """Hover texts: number, metrics and point of each trial."""

    def words(trial: Finished) -> str:
        metrics = ", ".join(f"{label(name)} {value:.4g}" for name, value in trial.metrics.items())
        point = [f"{label(name)}: {label(value_text(value), 40)}" for name, value in trial.point.items()]
        bad = "" if trial.feasible else "<br>breaks a constraint"
        return "<br>".join([f"trial {trial.number}: {metrics}", *point[:12], *(["…"] if len(point) > 12 else [])]) + bad

    return {"hovertext": [words(trial) for trial in trials], "hoverinfo": "text"}


def _places(parameter: Parameter, trials: Sequence[Finished]) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Position of each trial's value in [0, 1], None where the parameter does not exist; and labeled ticks."""
    distribution, name = parameter.distribution, parameter.name
    if isinstance(distribution, (IntRange, FloatRange)):
        places = [unit(distribution, trial.point[name]) if name in trial.point else None for trial in trials]
        return places, [(0.0, value_text(distribution.low)), (1.0, value_text(distribution.high))]
    values = [(type(value), value) for value in distribution.values() or []]
    room = max(len(values) - 1, 1)
    places = [
        values.index((type(trial.point[name]), trial.point[name])) / room if name in trial.point else None
        for trial in trials
    ]
    return places, [(index / room, value_text(value)) for index, (_, value) in enumerate(values)]


def _thinned(ticks: list[tuple[float, str]], most: int = 8) -> list[tuple[float, str]]:
    return [ticks[n] for n in np.unique(np.linspace(0, len(ticks) - 1, min(len(ticks), most)).round().astype(int))]


def _scale(parameter: Parameter, trials: Sequence[Finished]) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Position of each trial among the cells of a parameter, cell n from n - .5 to n + .5; and the cells' names."""
    values = parameter.distribution.values()
    if isinstance(parameter.distribution, (IntRange, FloatRange)) and (values is None or len(values) > _CELLS):
        places = np.array([unit(parameter.distribution, trial.point[parameter.name]) for trial in trials], dtype=float)
        ends = parameter.distribution.values(_CELLS + 1) or []
        names = [f"{value_text(low)} – {value_text(high)}" for low, high in itertools.pairwise(ends)]
        return places * len(names) - 0.5, names
    keys = [(type(value), value) for value in values or []]
    positions = [keys.index((type(trial.point[parameter.name]), trial.point[parameter.name])) for trial in trials]
    return np.array(positions, dtype=float), [value_text(value) for _, value in keys]
