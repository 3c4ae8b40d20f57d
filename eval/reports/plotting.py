"""Figures of the reports as Plotly objects, for notebooks."""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.errors import DataError, MissingExtraError
from rag.eval.outcome import Outcome
from rag.eval.reports.distribution import distribution, histogram
from rag.eval.reports.figures import Figure, stage_recall

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

__all__ = ["EvaluationPlots", "as_plotly"]


class EvaluationPlots:
    """Figures of an evaluation.

    Example:
        .. code-block:: python

            evaluation.plot.stages().show()
    """

    def __init__(self, evaluation: Outcome) -> None:
        self._evaluation = evaluation

    def stages(self) -> PlotlyFigure:
        """Recall after each stage, the best value of a perfect ranking of what is left, and the value reached.

        Raises:
            DataError: No document is relevant to any query.
        """
        record = self._evaluation.record
        if not record.attribution.stages:
            raise DataError("no document is relevant to any query: there is no recall to draw")
        return as_plotly(stage_recall(record.attribution, record.measures[record.headline].mean))

    def distribution(self, measure: str | None = None) -> PlotlyFigure:
        """The number of queries by their value of a measure.

        Args:
            measure: Its name; None takes the first.

        Raises:
            DataError: The measure was not computed.
        """
        values = self._evaluation.values
        name = self._evaluation.record.headline if measure is None else measure
        if name not in values:
            raise DataError(f"measure '{name}' was not computed (computed: {', '.join(values)})")
        scores = np.array(list(values[name].values()), dtype=np.float64)
        bins, _ = histogram(scores, np.empty(0, dtype=np.int64))
        return as_plotly(distribution(bins, name, float(scores.mean())))


def as_plotly(figure: Figure) -> PlotlyFigure:
    """A figure of a report as a Plotly object, in the report's light colors on a transparent ground.

    Raises:
        MissingExtraError: The package plotly is not installed; reports need it not.
    """
    try:
        from plotly.graph_objects import Figure as PlotlyFigure
    except ModuleNotFoundError:
        raise MissingExtraError("a figure in a notebook", package="plotly", extra="plots") from None

    layout = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "showlegend": False}
    return PlotlyFigure(_painted({"data": figure["data"], "layout": layout | figure["layout"]}))


def _painted(value: Any) -> Any:
    """The value with colors in place of their names."""
    if isinstance(value, dict):
        return {key: _painted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_painted(inner) for inner in value]
    if isinstance(value, str) and re.fullmatch("<[a-z-]+>", value):
        return _colors()[value[1:-1]]
    return value


@functools.cache
def _colors() -> dict[str, str]:
    """The light colors of the style sheet, by name."""
    style = (files("rag.eval.reports") / "templates" / "report.css").read_text(encoding="utf-8")
    light = style[: style.index("@media")]
    return dict(re.findall(r"--([a-z-]+): ([^;]+);", light))
