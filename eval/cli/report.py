"""``rag report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo, print_file

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `rag eval` wrote.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a short summary for a pull request; write nothing.")
    ] = False,
) -> None:
    """Write the report of a run again from the run's files."""
    if markdown:
        from rag.eval.reports.markdown import as_markdown

        print_file(as_markdown(run))
        return
    from rag.cli.console import progress
    from rag.eval.reports.report import write_report

    with progress("writing the report", None):
        written = write_report(run)
    echo(written.resolve())
