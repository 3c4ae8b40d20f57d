"""Figures of the pages, as Plotly's JSON: ``data`` and ``layout``.

Only trace types drawn as SVG are used (scatter, bar, heatmap, contour), since WebGL is not available everywhere. Colors
are names from the style sheet, such as ``"<accent>"``, so that figures adapt to dark mode and print; ``plots.js``
resolves them, and sets fonts and axes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from rag.eval.metrics import Losses
from rag.eval.reports.pages import excerpt

__all__ = ["Figure", "bars", "label", "line", "lines_layout", "stage_recall", "unit_axis"]

Figure = dict[str, Any]
"""A figure with ``data`` and ``layout``."""


def label(text: object, length: int = 60) -> str:
    """Shorten a data text and escape it so that Plotly shows it literally (it interprets tags and entities)."""
    return html.escape(excerpt(str(text), length), quote=False)


def bars(
    names: Sequence[Any], values: Sequence[Any], *, hover: Sequence[str], x: str = "", y: str = "", **layout: Any
) -> Figure:
    """Draw one bar per name."""
    trace = {
        "type": "bar",
        "x": list(names),
        "y": list(values),
        "hovertext": list(hover),
        "hoverinfo": "text",
        "marker": {"color": "<accent>"},
    }
    across = {"title": {"text": x}, **layout.pop("xaxis", {})}
    up = {"title": {"text": y}, "rangemode": "tozero"}
    return {"data": [trace], "layout": {"xaxis": across, "yaxis": up, "bargap": 0.12, **layout}}


def line(
    x: Sequence[Any], y: Sequence[Any], *, name: str = "", color: str = "<accent>", mode: str = "lines", **more: Any
) -> dict[str, Any]:
    """Draw a line or points as a trace."""
    trace: dict[str, Any] = {"type": "scatter", "mode": mode, "x": list(x), "y": list(y), "name": name}
    if "lines" in mode:
        trace["line"] = {"color": color, "width": 2.5}
    if "markers" in mode:
        trace["marker"] = {"color": color, "size": 8}
    return trace | more


def unit_axis(title: str) -> dict[str, Any]:
    """An axis from 0 to 1, with a small margin."""
    return {"title": {"text": title}, "range": [-0.02, 1.02], "tickvals": [0, 0.25, 0.5, 0.75, 1]}


def lines_layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    """Two axes from 0 to 1."""
    return {"xaxis": unit_axis(x), "yaxis": unit_axis(y), **more}


def stage_recall(losses: Losses, reached: float | None) -> Figure:
    """Recall after each stage, the best value of a perfect ranking of what is left, and the value reached.

    Args:
        losses: Relevant documents after each stage.
        reached: Mean of the headline measure; None where it is undefined.
    """
    stages = losses.stages
    names = [label(stage.name, 28) for stage in stages]
    measure = label(losses.measure)
    data = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": [getattr(stage, key) for stage in stages],
            "marker": {"color": color, "line": {"color": "<accent>", "width": 1}},
            "text": [f"{getattr(stage, key):.3f}" for stage in stages],
            "textposition": "inside",  # above the bars the line would cross it
            "insidetextanchor": "start",
            "insidetextfont": {"color": ink},
            "textangle": 0,
            "hovertemplate": "%{x}: %{y:.3f}<extra>" + name + "</extra>",
        }
        for key, name, color, ink in (
            ("recall", "recall", "<accent>", "<paper>"),
            ("oracle", f"{measure} in perfect order", "<accent-wash>", "<ink>"),
        )
    ]
    if len(names) > 1 and reached is not None:
        name = f"{measure} reached, {reached:.3f}"
        dots = line(names, [reached] * len(names), name=name, hoverinfo="name")
        data.append(dots | {"line": {"color": "<ink>", "width": 1.5, "dash": "dot"}})
    most = max([1.0, *(stage.recall for stage in stages), *(stage.oracle for stage in stages)])
    axes = {"xaxis": {"type": "category"}, "yaxis": {"range": [0, 1.08 * most]}}
    return {"data": data, "layout": {"barmode": "group", "bargap": 0.3, "showlegend": True, **axes}}
