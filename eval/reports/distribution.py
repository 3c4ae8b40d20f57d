"""The distribution of a measure over the queries, as a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.eval.reports.figures import Figure, bars, label
from rag.eval.reports.pages import number, percent

__all__ = ["Bin", "distribution", "histogram"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the histogram: queries with a score from ``low`` to ``high``, their share of all, and how many of them
    the table lists.
    """

    low: float
    high: float
    count: int
    share: float
    listed: int

    @property
    def words(self) -> list[str]:
        return [number(self.low), number(self.high), number(self.count), percent(self.share)]


def histogram(scores: Floats, listed: Ints) -> tuple[list[Bin], Ints]:
    """Counts in equal bins, over [0, 1] if all scores lie there, and the bin of each listed score, -1 for NaN. The last
    bin includes its upper end.
    """
    finite = np.isfinite(scores)
    unit = ((scores[finite] >= 0) & (scores[finite] <= 1)).all()
    n_bins = 20 if finite.sum() >= 100 else 10
    counts, edges = np.histogram(scores[finite], bins=n_bins, range=(0, 1) if unit else None)
    bin_of = np.full(len(scores), -1, dtype=np.int64)
    bin_of[finite] = np.clip(np.searchsorted(edges, scores[finite], side="right") - 1, 0, n_bins - 1)
    n, bin_of = max(int(finite.sum()), 1), bin_of[listed]
    bins = [
        Bin(float(edges[i]), float(edges[i + 1]), int(count), count / n, int((bin_of == i).sum()))
        for i, count in enumerate(counts)
    ]
    return bins, bin_of


def distribution(bins: Sequence[Bin], name: str, mean: float) -> Figure:
    """Histogram of queries by score, with the mean as a line."""
    hover = [
        f"{number(bin.low)} to {number(bin.high)}: {bin.count:,} {'query' if bin.count == 1 else 'queries'}"
        f" ({percent(bin.share)}){'<br>click to see them' if bin.listed == bin.count else ''}"
        for bin in bins
    ]
    middles = [(bin.low + bin.high) / 2 for bin in bins]
    figure = bars(middles, [bin.count for bin in bins], hover=hover, x=label(name), y="queries")
    at_mean = {"x0": mean, "x1": mean, "y0": 0, "y1": 1, "yref": "paper"}
    dotted = {"type": "line", "line": {"color": "<ink>", "width": 1.5, "dash": "dot"}}
    text = {"x": mean, "y": 1, "yref": "paper", "yanchor": "bottom", "text": f"mean {mean:.3f}"}
    figure["layout"]["xaxis"] |= {"range": [bins[0].low, bins[-1].high]}
    return {
        "data": figure["data"],
        "layout": figure["layout"]
        | {"shapes": [at_mean | dotted], "annotations": [text | {"showarrow": False}], "margin": {"t": 28}},
    }
