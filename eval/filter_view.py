"""What the report shows of a filter: the entries of ``metrics.json``, shaped for drawing.

Drawings are squares of 100 by 100, stretched to the width they are given; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["FilterView", "filter_views"]


@dataclass(frozen=True, slots=True)
class FilterView:
    """A filter of the pipeline.

    Args:
        number: From 1 on; makes ids unique.
        found: Its entry in ``metrics.json``.
        target: What it was asked to keep, in words; empty when its threshold was given.
        curves: (what, points) of precision over recall: after it, and of the scores it was given where these differ.
        dots: (x, y, radius, words) of the reliability diagram; empty when it gives no probabilities.
        bars: (from, to, queries) of the histogram of results kept.
        examples: (heading, why, entries).
    """

    number: int
    found: Mapping[str, Any]
    target: str
    curves: Sequence[tuple[str, str]]
    dots: Sequence[tuple[float, float, float, str]]
    bars: Sequence[tuple[int, int, int]]
    examples: Sequence[tuple[str, str, Sequence[Mapping[str, Any]]]]


def filter_views(metrics: Mapping[str, Any]) -> list[FilterView]:
    """Of all filters of a run; a run written before there were any has none."""
    return [_view(number, found) for number, found in enumerate(metrics.get("filters", []), 1)]


def _view(number: int, found: Mapping[str, Any]) -> FilterView:
    curves = []
    if "curve" in found:
        curves.append((found["name"], _points(found["curve"])))
        if found["curve"]["pr_auc"] != found["curve_before"]["pr_auc"]:
            curves.append((f"scores of {found['before']}", _points(found["curve_before"])))
    most = max((one["pairs"] for one in found.get("reliability", ())), default=1)
    dots = [
        (
            100 * one["probability"],
            100 - 100 * one["relevant"],
            2.5 + 6 * (one["pairs"] / most) ** 0.5,
            f"said {one['probability']:.2f}, are {one['relevant']:.2f}; {one['pairs']:,} candidates",
        )
        for one in found.get("reliability", ())
    ]
    lost, cut = found["examples"]["lost"], found["examples"]["cut"]
    return FilterView(
        number,
        found,
        ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in (found["keep"] or {}).items()),
        curves,
        dots,
        [(one["low"], one["high"], one["queries"]) for one in found["kept"]],
        [
            ("Lost", "Relevant and cut; the highest-scored first.", lost),
            ("Cut", "Not known to be relevant, and cut; the highest-scored first.", cut),
        ],
    )


def _points(curve: Mapping[str, Any]) -> str:
    """Of an SVG polyline."""
    return " ".join(f"{100 * recall:.2f},{100 - 100 * precision:.2f}" for recall, precision in curve["points"])
