"""Results with a report."""

from __future__ import annotations

from pathlib import Path
from typing import overload

__all__ = ["Reported"]


class Reported:
    """A result that is rendered as one self-contained HTML file."""

    def _page(self) -> str:
        """The text of the page."""
        raise NotImplementedError

    @overload
    def report(self) -> str: ...
    @overload
    def report(self, path: str | Path) -> Path: ...
    def report(self, path: str | Path | None = None) -> str | Path:
        """Render the report as one self-contained HTML file, as the command writes it into its folder.

        Args:
            path: The file to write, atomically. None writes nothing.

        Returns:
            The absolute path of the file, or without one the text of the page.

        Raises:
            ArtifactError: The file cannot be written.
        """
        from rag.eval.reports.pages import write_page

        page = self._page()
        return page if path is None else write_page(page, path)
