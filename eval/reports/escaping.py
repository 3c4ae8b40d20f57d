"""Escape data texts for Markdown and LaTeX, so that they show literally. In HTML the templates escape them."""

from __future__ import annotations

import re

from rag.text.plain import plain

__all__ = ["latex", "markdown"]

_ACTIVE = re.compile(
    r"[\\`*~|$]"  # escapes, code, emphasis, strikethrough, cells, formulas
    r"|\[(?![-+.\d])|\](?=[(\[:])"  # links and images; but not intervals
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; not inside a word
    r"|<(?=[a-zA-Z/!?])"  # HTML
    r"|&(?=#?\w+;)"  # entities
    r"|\A(?:[-+>=#]|\d+(?=[.)](?:\s|\Z)))"  # lists, quotations and headings
)
_LATEX = re.compile(r"[&%$#_{}\\~^<>|\"\[\]*\ufffd]|--+")
_LATEX_NAMES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # At the start of a row these would become arguments of the preceding line break.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\ufffd": "?",
}


def markdown(text: object) -> str:
    r"""Escape a text onto one line of a table or paragraph, so that it starts no markup, HTML or mention.

    Example:
        >>> markdown("<img src=x> | *d1*")
        '\\<img src=x> \\| \\*d1\\*'
    """
    escaped = _ACTIVE.sub(_escape, " ".join(plain(str(text)).split()))
    # Code hosting sites link names after @ and numbers after #, which no backslash prevents.
    return re.sub(r"(?<!\w)([@#])(?=\w)", "\\1\N{WORD JOINER}", escaped)


def _escape(match: re.Match[str]) -> str:
    return match[0] + "\\" if match[0].isdigit() else "\\" + match[0]


def latex(text: object) -> str:
    r"""Escape a text onto one line so that LaTeX sets it literally.

    Example:
        >>> latex("50 % of a_b")
        '50 \\% of a\\_b'
    """
    return _LATEX.sub(_name, " ".join(plain(str(text)).split()))


def _name(match: re.Match[str]) -> str:
    character = match[0]
    if character.startswith("--"):
        return "{-}" * len(character)
    return _LATEX_NAMES.get(character, "\\" + character)
