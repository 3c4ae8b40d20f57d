"""Texts of data in Markdown and LaTeX: shown as they are, whatever they hold. In HTML the templates escape them."""

from __future__ import annotations

import re

from rag.text.plain import plain

__all__ = ["latex", "markdown"]

_ACTIVE = re.compile(
    r"[\\`*~|$]"  # escapes, code, emphasis, strikethrough, cells, formulas
    r"|\[(?![-+.\d])|\](?=[(\[:])"  # links and images; intervals are none
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; inside a word it is a character
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
    # At the start of a row these would be arguments of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\ufffd": "?",
}


def markdown(text: object) -> str:
    r"""A text on one line, in a table or a paragraph, that starts no markup, no HTML and no mention of anybody.

    Example:
        >>> markdown("<img src=x> | *d1*")
        '\\<img src=x> \\| \\*d1\\*'
    """
    escaped = _ACTIVE.sub(_escape, " ".join(plain(str(text)).split()))
    # Hosts of code make links of names after @ and of numbers after #, which no backslash prevents.
    return re.sub(r"(?<!\w)([@#])(?=\w)", "\\1\N{WORD JOINER}", escaped)


def _escape(match: re.Match[str]) -> str:
    return match[0] + "\\" if match[0].isdigit() else "\\" + match[0]


def latex(text: object) -> str:
    r"""A text on one line that LaTeX sets as it is.

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
