"""The result of :func:`rag.eval.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.eval.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation"]


@dataclass(frozen=True)
class Evaluation(Outcome):
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

    def report(self) -> str:
        """Render the report as one self-contained HTML file, like ``report.html`` of the run folder."""
        from rag.eval.reports.report import render_report

        return render_report(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Convert to a table with one row per query: its id and text, the numbers of relevant and returned documents,
        and the value of every measure.
        """
        from rag.eval.runs.query_table import query_values

        return query_values(self)
