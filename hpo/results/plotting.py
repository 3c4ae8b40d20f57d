"""Figures of a sweep as Plotly objects, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import DataError
from rag.eval.reports.figures import Figure
from rag.eval.reports.plotting import as_plotly
from rag.hpo.execution.trials import Finished
from rag.hpo.results import figures
from rag.hpo.results.importance import importance
from rag.hpo.results.outcome import SweepOutcome

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

__all__ = ["SweepPlots"]


class SweepPlots:
    """Figures of a sweep, as in its report.

    Example:
        .. code-block:: python

            result.plot.progress().show()
    """

    def __init__(self, result: SweepOutcome) -> None:
        self._result = result

    def progress(self) -> PlotlyFigure:
        """Every trial, the best so far, and the test values of trials that were the best."""
        return as_plotly(figures.progress(self._result, self._done()))

    def front(self) -> PlotlyFigure:
        """The first two objectives and the front.

        Raises:
            DataError: The sweep has a single objective, or no complete trial.
        """
        if len(self._result.sweep.goals) < 2:
            raise DataError("a sweep with a single objective has no front: see progress()")
        return as_plotly(figures.front(self._result, self._done()))

    def importance(self) -> PlotlyFigure:
        """The share of each parameter in the variance of the first objective.

        Raises:
            DataError: It cannot be told; the message says why.
        """
        known = importance(self._result.sweep, self._result.trials)
        if not known.shares:
            raise DataError(f"the importance of parameters is not known: {known.reason}")
        return as_plotly(figures.importance_bars(known.shares))

    def parallel(self) -> PlotlyFigure:
        """Each trial as a line through the values of its parameters.

        Raises:
            DataError: Fewer than two trials are complete.
        """
        return as_plotly(_drawn(figures.parallel(self._result, self._done()), "two complete trials"))

    def _done(self) -> list[Finished]:
        done = [trial for trial in self._result.trials if trial.state == "complete"]
        if not done:
            raise DataError("the sweep has no complete trial")
        return done


def _drawn(figure: Figure | None, needed: str) -> Figure:
    if figure is None:
        raise DataError(f"at least {needed} are needed for this figure")
    return figure
