"""Texts of data, made harmless for terminals and pages."""

from __future__ import annotations

import re

__all__ = ["HARMFUL", "plain"]

HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (tabs and line ends aside), separators of lines, marks that write what follows backwards (as U+202E does),
and halves of surrogate pairs, which cannot be written at all.
"""


def plain(text: str) -> str:
    r"""A text that a terminal or a page shows and does not obey.

    Line ends are written as ``\n``. Each character that could move the cursor, rename the window, or write the rest of
    the line backwards becomes U+FFFD, so that it can be seen that there was one.

    Example:
        >>> plain("d1\x1b[2J") == "d1\ufffd[2J"
        True
    """
    return HARMFUL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
