"""What the report shows of a filter: the entries of ``metrics.json``, as figures with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.eval.reports.figures import Figure, bars, label, line, lines_layout
from rag.eval.reports.pages import score

__all__ = ["FilterView", "filter_views"]

_POINTS = 21
"""Points of a curve in the table of its numbers."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class FilterView:
    """A filter of the pipeline.

    Args:
        number: From 1 on; makes ids unique.
        found: Its entry in ``metrics.json``.
        target: What it was asked to keep, in words; empty when its threshold was given.
        figures: By id: precision over recall, reliability, and results kept per query; those that there are.
        curve: Numbers of precision over recall: recall, precision, and of the scores it was given, where these differ.
        reliability: Numbers of the reliability diagram: probability, share, candidates.
        kept: Numbers of the histogram of results kept: results, queries.
        examples: (heading, why, entries).
    """

    number: int
    found: Mapping[str, Any]
    target: str
    figures: Mapping[str, Figure]
    curve: Rows
    reliability: Rows
    kept: Rows
    examples: Sequence[tuple[str, str, Sequence[Mapping[str, Any]]]]


def filter_views(filters: Sequence[Mapping[str, Any]]) -> list[FilterView]:
    """Views of all filters of a run, from their entries in ``metrics.json``."""
    return [_view(number, entry) for number, entry in enumerate(filters, 1)]


def _view(number: int, found: Mapping[str, Any]) -> FilterView:
    figures, curve = {}, []
    if "curve" in found:
        figures[f"plot-curve-{number}"] = _curves(found)
        both = ["curve", "curve_before"] if _differ(found) else ["curve"]
        recall = np.linspace(0, 1, _POINTS)
        columns = [np.interp(recall, *_ascending(found[which])) for which in both]
        curve = [[f"{at:.2f}", *map(score, row)] for at, *row in zip(recall, *columns, strict=True)]
    bins = found.get("reliability", ())
    if bins:
        figures[f"plot-reliability-{number}"] = _reliability(bins)
    kept = [(_range(one), one["queries"]) for one in found["kept"]]
    figures[f"plot-kept-{number}"] = bars(
        [name for name, _ in kept],
        [count for _, count in kept],
        hover=[f"{name} results: {count:,} queries" for name, count in kept],
        x="results",
        y="queries",
        xaxis={"type": "category"},
    )
    lost, cut = found["examples"]["lost"], found["examples"]["cut"]
    return FilterView(
        number,
        found,
        ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in (found["keep"] or {}).items()),
        figures,
        curve,
        [[score(one["probability"]), score(one["relevant"]), f"{one['pairs']:,}"] for one in bins],
        [[name, f"{count:,}"] for name, count in kept],
        [
            ("Lost", "Relevant and cut; the highest-scored first.", lost),
            ("Cut", "Not known to be relevant, and cut; the highest-scored first.", cut),
        ],
    )


def _differ(found: Mapping[str, Any]) -> bool:
    return bool(found["curve"]["pr_auc"] != found["curve_before"]["pr_auc"])


def _curves(found: Mapping[str, Any]) -> Figure:
    hover = "recall %{x:.3f}, precision %{y:.3f}<extra></extra>"
    recall, precision = zip(*found["curve"]["points"], strict=True)
    data = [line(recall, precision, name=label(found["name"]), hovertemplate=hover)]
    if _differ(found):
        recall, precision = zip(*found["curve_before"]["points"], strict=True)
        before = line(recall, precision, name=f"scores of {label(found['before'])}", hovertemplate=hover)
        data.insert(0, before | {"line": {"color": "<soft>", "width": 1.5, "dash": "dash"}})
    if found["recall"] is not None and found["precision"] is not None:
        dot = line([found["recall"]], [found["precision"]], name="in use", mode="markers", hovertemplate=hover)
        data.append(dot | {"marker": {"color": "<accent>", "size": 11, "line": {"color": "<paper>", "width": 2}}})
    return {"data": data, "layout": lines_layout("recall", "precision", showlegend=True)}


def _reliability(bins: Sequence[Mapping[str, Any]]) -> Figure:
    most = max(one["pairs"] for one in bins)
    sizes = [6 + 20 * (one["pairs"] / most) ** 0.5 for one in bins]
    dots = line([one["probability"] for one in bins], [one["relevant"] for one in bins], mode="markers")
    dots["marker"] = {"color": "<accent>", "size": sizes, "line": {"color": "<paper>", "width": 1.5}}
    dots["customdata"] = [one["pairs"] for one in bins]
    dots["hovertemplate"] = "said %{x:.2f}, are %{y:.2f}; %{customdata:,} candidates<extra></extra>"
    exact = line([0, 1], [0, 1], color="<soft>", hoverinfo="skip")
    exact["line"] = {"color": "<soft>", "width": 1.5, "dash": "dot"}
    return {"data": [exact, dots], "layout": lines_layout("probability", "share that is relevant")}


def _ascending(curve: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    points = sorted(curve["points"])
    return [recall for recall, _ in points], [precision for _, precision in points]


def _range(one: Mapping[str, Any]) -> str:
    return f"{one['low']}–{one['high']}" if one["high"] > one["low"] else str(one["low"])
