"""The result of comparing runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag.eval.comparison.compared import ComparedRuns
from rag.eval.reports.reported import Reported

__all__ = ["Compared"]


@dataclass(frozen=True, repr=False)
class Compared(Reported, ComparedRuns):
    """Runs compared on the same queries, with methods to report and save them.

    Example:
        .. code-block:: python

            compared = compare({"bm25": evaluation, "hybrid": "runs/hybrid"})
            compared.verdict
            compared.report("compared.html")
    """

    def _page(self) -> str:
        from rag.eval.reports.comparison import render_comparison

        return render_comparison(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``compare.html``, ``.json``, ``.md`` and ``.tex`` into a folder, each atomically.

        Returns:
            The folder's absolute path.

        Raises:
            ArtifactError: The folder has other content, or cannot be written.
        """
        from rag.eval.reports.comparison import write_comparison

        return write_comparison(self, Path(folder)).absolute()
