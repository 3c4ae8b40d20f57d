"""Names of measures in one option of the command line."""

from __future__ import annotations

import re

__all__ = ["measure_names"]


def measure_names(text: str) -> list[str]:
    """The names in a text, separated by commas or spaces; those inside parentheses separate nothing.

    Example:
        >>> measure_names("nDCG@10, RBP(p=0.8, rel=1) AP")
        ['nDCG@10', 'RBP(p=0.8, rel=1)', 'AP']
    """
    return [name for name in re.split(r"[,\s]+(?![^(]*\))", text) if name]
