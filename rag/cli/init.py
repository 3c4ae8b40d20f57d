"""``rag init``: something to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo

__all__ = ["init"]


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Write a commented pipeline and a small dataset to start from."""
    from rag.templates import write_starter

    for path in write_starter(folder):
        echo(f"wrote {path}")
    echo(f"next: rag eval {folder / 'pipeline.yaml'} --dataset {folder / 'data'}")
