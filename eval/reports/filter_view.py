"""Views of filters for the report: the entries of ``metrics.json`` as figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.eval.reports.figures import Figure, bars, label, line, lines_layout
from rag.eval.reports.pages import score

__all__ = ["FilterView", "filter_views"]

_POINTS = 21
"""Number of points of a curve in its table."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class FilterView:
    """The report's view of a filter.

    Args:
        number: Number of the filter from 1 on, which makes ids unique.
        entry: The filter's entry in ``metrics.json``.
        target: Its calibration target in words; empty when its threshold was set directly.
        figures: Figures by id: precision over recall, reliability, and results kept per query, as available.
        curve: Table of precision over recall: recall, precision, and that of the input scores where it differs.
        reliability: Table of the reliability diagram: probability, share, candidates.
        kept: Table of the histogram of results kept: results, queries.
        examples: Examples as (heading, explanation, entries).
    """

    number: int
    entry: Mapping[str, Any]
    target: str
    figures: Mapping[str, Figure]
    curve: Rows
    reliability: Rows
    kept: Rows
    examples: Sequence[tuple[str, str, Sequence[Mapping[str, Any]]]]


def filter_views(filters: Sequence[Mapping[str, Any]]) -> list[FilterView]:
    """Views of all filters of a run, from their entries in ``metrics.json``."""
    return [_view(index, entry) for index, entry in enumerate(filters, 1)]


def _view(index: int, entry: Mapping[str, Any]) -> FilterView:
    figures, curve = {}, []
    if "curve" in entry:
        figures[f"plot-curve-{index}"] = _curves(entry)
        both = ["curve", "curve_before"] if _differ(entry) else ["curve"]
        recall = np.linspace(0, 1, _POINTS)
        columns = [np.interp(recall, *_ascending(entry[which])) for which in both]
        curve = [[f"{at:.2f}", *map(score, row)] for at, *row in zip(recall, *columns, strict=True)]
    bins = entry.get("reliability", ())
    if bins:
        figures[f"plot-reliability-{index}"] = _reliability(bins)
    histogram = [(_range(bar), bar["queries"]) for bar in entry["kept"]]
    figures[f"plot-kept-{index}"] = bars(
        [name for name, _ in histogram],
        [count for _, count in histogram],
        hover=[f"{name} results: {count:,} queries" for name, count in histogram],
        x="results",
        y="queries",
        xaxis={"type": "category"},
    )
    lost, cut = entry["examples"]["lost"], entry["examples"]["cut"]
    return FilterView(
        index,
        entry,
        ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in (entry["keep"] or {}).items()),
        figures,
        curve,
        [[score(bin["probability"]), score(bin["relevant"]), f"{bin['pairs']:,}"] for bin in bins],
        [[name, f"{count:,}"] for name, count in histogram],
        [
            ("Lost", "Relevant and cut; the highest-scored first.", lost),
            ("Cut", "Not known to be relevant, and cut; the highest-scored first.", cut),
        ],
    )


def _differ(entry: Mapping[str, Any]) -> bool:
    return bool(entry["curve"]["pr_auc"] != entry["curve_before"]["pr_auc"])


def _curves(entry: Mapping[str, Any]) -> Figure:
    hover = "recall %{x:.3f}, precision %{y:.3f}<extra></extra>"
    recall, precision = zip(*entry["curve"]["points"], strict=True)
    data = [line(recall, precision, name=label(entry["name"]), hovertemplate=hover)]
    if _differ(entry):
        recall, precision = zip(*entry["curve_before"]["points"], strict=True)
        before = line(recall, precision, name=f"scores of {label(entry['before'])}", hovertemplate=hover)
        data.insert(0, before | {"line": {"color": "<soft>", "width": 1.5, "dash": "dash"}})
    if entry["recall"] is not None and entry["precision"] is not None:
        dot = line([entry["recall"]], [entry["precision"]], name="in use", mode="markers", hovertemplate=hover)
        data.append(dot | {"marker": {"color": "<accent>", "size": 11, "line": {"color": "<paper>", "width": 2}}})
    return {"data": data, "layout": lines_layout("recall", "precision", showlegend=True)}


def _reliability(bins: Sequence[Mapping[str, Any]]) -> Figure:
    most = max(bin["pairs"] for bin in bins)
    sizes = [6 + 20 * (bin["pairs"] / most) ** 0.5 for bin in bins]
    dots = line([bin["probability"] for bin in bins], [bin["relevant"] for bin in bins], mode="markers")
    dots["marker"] = {"color": "<accent>", "size": sizes, "line": {"color": "<paper>", "width": 1.5}}
    dots["customdata"] = [bin["pairs"] for bin in bins]
    dots["hovertemplate"] = "said %{x:.2f}, are %{y:.2f}; %{customdata:,} candidates<extra></extra>"
    exact = line([0, 1], [0, 1], color="<soft>", hoverinfo="skip")
    exact["line"] = {"color": "<soft>", "width": 1.5, "dash": "dot"}
    return {"data": [exact, dots], "layout": lines_layout("probability", "share that is relevant")}


def _ascending(curve: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    points = sorted(curve["points"])
    return [recall for recall, _ in points], [precision for _, precision in points]


def _range(bar: Mapping[str, Any]) -> str:
    return f"{bar['low']}–{bar['high']}" if bar["high"] > bar["low"] else str(bar["low"])
