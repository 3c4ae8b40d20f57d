"""Runs by what they cost and how good they are, with the front of those that nothing beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rag.eval.comparison.compared import ComparedRuns
from rag.eval.reports.figures import Figure, label, line
from rag.eval.reports.summary import LATENCY

__all__ = ["cost_front"]


def cost_front(compared: ComparedRuns, runs: Sequence[str]) -> Figure:
    """Draw each run as a point with the interval of its mean, and the front as steps.

    Args:
        compared: The comparison.
        runs: Names of the runs whose latency is known, in milliseconds.
    """
    measure = compared.measures[0]
    points = sorted((compared.costs[name][LATENCY], -compared.means[name][measure], name) for name in runs)
    front: list[tuple[float, float]] = []
    for cost, negative, _ in points:
        if not front or -negative > front[-1][1]:
            front.append((cost, -negative))
    ends = [*front, (points[-1][0], front[-1][1])]
    steps = line([x for x, _ in ends], [y for _, y in ends], name="front", hoverinfo="skip", color="<soft>")
    steps["line"] |= {"shape": "hv", "width": 1.5, "dash": "dot"}
    names = [name for _, _, name in points]
    middle = math.sqrt(max(points[0][0], 1e-9) * points[-1][0])
    dots = line(
        [cost for cost, _, _ in points],
        [-negative for _, negative, _ in points],
        mode="markers+text",
        text=[f" {label(name, 24)}" for name in names],
        textposition=["top right" if cost <= middle else "top left" for cost, _, _ in points],
        cliponaxis=False,
        hovertext=[f"{label(name)}<br>{cost:.3g} ms, {label(measure)} {-value:.3f}" for cost, value, name in points],
        hoverinfo="text",
        error_y=_whiskers(compared, measure, names),
    )
    axes = {
        "xaxis": {"title": {"text": "median latency, ms (logarithmic)"}, "type": "log", "dtick": "D2"},
        "yaxis": {"title": {"text": label(measure)}},
    }
    return {"data": [steps, dots], "layout": axes}


def _whiskers(compared: ComparedRuns, measure: str, names: Sequence[str]) -> dict[str, Any]:
    means = {name: compared.means[name][measure] for name in names}
    bounds = {name: compared.ci95[name][measure] or (means[name], means[name]) for name in names}
    return {
        "type": "data",
        "symmetric": False,
        "array": [bounds[name][1] - means[name] for name in names],
        "arrayminus": [means[name] - bounds[name][0] for name in names],
        "color": "<soft>",
        "thickness": 1.5,
        "width": 4,
    }
