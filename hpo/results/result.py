"""The result of a sweep: the choice, its certainty, and its values on unseen queries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.display import Backend, frame
from rag.eval.reports.reported import Reported
from rag.hpo.results.outcome import SweepOutcome

if TYPE_CHECKING:
    from rag.hpo.results.plotting import SweepPlots

__all__ = ["SweepResult"]


@dataclass(frozen=True, repr=False)
class SweepResult(Reported, SweepOutcome):
    """The result of :func:`rag.hpo.tune`, with methods to report, draw and save it.

    Example:
        .. code-block:: python

            result = tune("sweep.yaml")
            result.verdict
            result.report("sweep.html")
    """

    def _page(self) -> str:
        from rag.hpo.results.report import render_report

        return render_report(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``best.yaml``, ``trials.parquet``, ``sweep.json`` and ``report.html`` into a folder, each atomically.

        Returns:
            The folder's absolute path.

        Raises:
            ArtifactError: The folder has other content, or cannot be written.
        """
        from rag.hpo.results.outputs import check_target, write_outputs

        target = Path(folder).absolute()
        check_target(target)
        target.mkdir(parents=True, exist_ok=True)
        write_outputs(self, target)
        return target

    @property
    def plot(self) -> SweepPlots:
        """Figures as Plotly objects: ``result.plot.progress()``."""
        from rag.hpo.results.plotting import SweepPlots

        return SweepPlots(self)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``sweep.json``, as JSON-compatible values."""
        from rag.hpo.results.summary import summary

        return summary(self)

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """A data frame with a row for each trial: state, parameters, metrics, seconds, and the reason of a failure.

        Args:
            backend: ``pandas``, ``polars`` or ``pyarrow``.
        """
        from rag.hpo.results.outputs import trials_table

        return frame(trials_table(self), backend)
