"""Parse the names of measures given in one command line option."""

from __future__ import annotations

import re

__all__ = ["measure_names"]


def measure_names(text: str) -> list[str]:
    """Split a text into names at commas and spaces, except inside parentheses.

    Example:
        >>> measure_names("nDCG@10, RBP(p=0.8, rel=1) AP")
        ['nDCG@10', 'RBP(p=0.8, rel=1)', 'AP']
    """
    return [name for name in re.split(r"[,\s]+(?![^(]*\))", text) if name]
