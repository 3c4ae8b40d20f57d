"""Options that commands of several packages have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["MaxFailedOption"]

MaxFailedOption = Annotated[
    float,
    typer.Option(
        "--max-failed",
        min=0.0,
        max=1.0,
        metavar="SHARE",
        help="Exit code 1 when a language model failed for more than this share of what it was asked for.",
    ),
]
