"""The result of comparing runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import overload

from rag.eval.comparison.compared import ComparedRuns

__all__ = ["Compared"]


@dataclass(frozen=True, repr=False)
class Compared(ComparedRuns):
    """Runs compared on the same queries, with methods to report and save them.

    Example:
        .. code-block:: python

            compared = compare({"bm25": evaluation, "hybrid": "runs/hybrid"})
            compared.verdict
            compared.report("compared.html")
    """

    @overload
    def report(self) -> str: ...
    @overload
    def report(self, path: str | Path) -> Path: ...
    def report(self, path: str | Path | None = None) -> str | Path:
        """Render the comparison as one self-contained HTML file: means, every pair, each query, and the method.

        Args:
            path: The file to write, atomically. None writes nothing.

        Returns:
            The absolute path of the file, or without one the text of the page.

        Raises:
            ArtifactError: The file cannot be written.
        """
        from rag.eval.reports.comparison import render_comparison
        from rag.eval.reports.pages import write_page

        page = render_comparison(self)
        return page if path is None else write_page(page, path)

    def save(self, folder: str | Path) -> Path:
        """Write ``compare.html``, ``.json``, ``.md`` and ``.tex`` into a folder, each atomically.

        Returns:
            The folder's absolute path.

        Raises:
            ArtifactError: The folder has other content, or cannot be written.
        """
        from rag.eval.reports.comparison import write_comparison

        return write_comparison(self, Path(folder)).absolute()
