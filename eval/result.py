"""The result of :func:`rag.eval.evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.display import Backend, Part, Shown, frame
from rag.eval.outcome import Outcome
from rag.eval.reports.reported import Reported

if TYPE_CHECKING:
    from rag.eval.reports.plotting import EvaluationPlots

__all__ = ["Evaluation"]


@dataclass(frozen=True, repr=False)
class Evaluation(Shown, Reported, Outcome):
    """Measures of a pipeline on a split, with methods to save, show and compare them.

    Example:
        .. code-block:: python

            evaluation = evaluate(pipeline, dataset)
            evaluation.mean("nDCG@10")
            evaluation.save("runs/hybrid")
            compare({"hybrid": evaluation, "bm25": other}).verdict
    """

    def mean(self, measure: str) -> float:
        """Mean of a measure over all judged queries.

        Raises:
            KeyError: The measure was not computed.
        """
        mean = self.record.measures[measure].mean
        return float("nan") if mean is None else mean

    def save(self, folder: str | Path) -> Path:
        """Write the run folder (see ``docs/run-folder.md``) atomically, replacing an earlier run.

        Args:
            folder: A new or empty folder, or one with a run.

        Returns:
            The folder's absolute path.

        Raises:
            ArtifactError: The folder has other content, or cannot be written.
        """
        from rag.eval.runs.folder import write_run

        return write_run(self, Path(folder))

    def _page(self) -> str:
        from rag.eval.reports.report import render_report

        return render_report(self)

    @property
    def plot(self) -> EvaluationPlots:
        """Figures as Plotly objects: ``evaluation.plot.stages()``."""
        from rag.eval.reports.plotting import EvaluationPlots

        return EvaluationPlots(self)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``metrics.json``, as JSON-compatible values."""
        return self.record.to_dict()

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """A data frame with a row for each query: its id and text, the numbers of relevant and returned documents, and
        the value of every measure.

        Args:
            backend: ``pandas``, ``polars`` or ``pyarrow``.
        """
        from rag.eval.runs.query_table import query_values

        return frame(query_values(self), backend)

    def _summary(self) -> Sequence[str]:
        return self.record._summary()

    def _details(self) -> Sequence[Part]:
        return self.record._details()
