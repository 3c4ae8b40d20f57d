"""What the parts of a pipeline have learned, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["LearnedView", "learned_views"]

_FEATURES = 12
"""Features shown of each part, the most important first."""


@dataclass(frozen=True)
class LearnedView:
    """A part that has learned.

    Args:
        name: Its place in the pipeline.
        chosen: What of the ways that were compared is used; empty where nothing was compared.
        lines: What was compared.
        features: Name, share in what decides and how the score changes with it, the most important first.
    """

    name: str
    chosen: str
    lines: list[str]
    features: list[tuple[str, float, str]]


def learned_views(parts: Sequence[Mapping[str, Any]]) -> list[LearnedView]:
    """A view of each entry of ``learned`` in ``metrics.json``."""
    return [_view(part) for part in parts]


def _view(part: Mapping[str, Any]) -> LearnedView:
    lines = [_option(number, option) for number, option in enumerate(part.get("options") or ())]
    if "adapted" in part:
        used = "are moved" if part["used"] else "stay as they are"
        lines.append(
            f"nDCG@10 of its vectors alone: {part['plain']:.4f} -> {part['adapted']:.4f} "
            f"({part['gain']:+.4f} ± {part['error']:.4f}); queries {used}"
        )
    lines += [f"compared on {part['on']}"] if part.get("on") else []
    lines += [str(part["why"])] if part.get("why") else []
    shown = list((part.get("importances") or {}).items())[:_FEATURES]
    curves = part.get("dependence") or {}
    features = [(name, float(share), _curve(curves.get(name) or ())) for name, share in shown]
    return LearnedView(f"{part['name']} {part['type']}", str(part.get("chosen") or ""), lines, features)


def _option(number: int, option: Mapping[str, Any]) -> str:
    said = f"{option['name']}: {option['quality']:.4f}"
    if number:
        said += f" ({option['gain']:+.4f} ± {option['error']:.4f} to the best before)"
    strangers = option.get("strangers")
    if strangers:
        said += (
            f"; of {strangers[0]:,} training queries, asked as if none that shares a relevant document had been "
            f"judged, {strangers[1]:+.4f} ± {strangers[2]:.4f}"
        )
    return said


def _curve(points: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{score:+.2f}" for _, score in points)
