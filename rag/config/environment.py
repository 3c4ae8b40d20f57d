"""Variables in values: ``${NAME}`` and ``${NAME:-default}``, as a shell reads them.

The default applies if NAME is not set or empty, and may contain variables itself: ``${A:-${B:-30}}``. ``$$`` is a
dollar sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

__all__ = ["escaped", "expanded", "masked", "unmasked"]

_BEGIN = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-))")
_ELSEWHERE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?:[-+?=]|:[?+=])")
"""Syntax of shells that is not supported."""

_HIDDEN = {mark: chr(0xF8E0 + offset) for offset, mark in enumerate("{}[],:#")}
"""YAML syntax inside ``${NAME:-default}``, replaced by placeholders while parsing, so that columns stay the same."""
_MASK = str.maketrans(_HIDDEN)
_UNMASK = str.maketrans({hidden: mark for mark, hidden in _HIDDEN.items()})


def masked(text: str) -> str:
    """A file's text with the YAML syntax inside variables masked."""
    if any(mark in text for mark in _HIDDEN.values()):
        return text
    # Line by line, so that an unclosed variable, perhaps in a comment, hides no others.
    return "".join(
        part.translate(_MASK) if is_variable else part
        for line in text.splitlines(keepends=True)
        for part, is_variable in _parts(line)
    )


def unmasked(text: str) -> str:
    """The original of a text that YAML parsed from masked text."""
    return text.translate(_UNMASK)


def escaped(text: str) -> str:
    """Escape a text so that :func:`expanded` returns it unchanged."""
    return text.replace("$", "$$") if _BEGIN.search(text) or _ELSEWHERE.search(text) else text


def expanded(text: str, wrong: Callable[[str], None]) -> str:
    """A text with its variables replaced by their values.

    Args:
        text: The text as written.
        wrong: Called with a message for each variable that cannot be read.
    """
    return "".join(_value(part, wrong) if is_variable else _checked(part, wrong) for part, is_variable in _parts(text))


def _value(variable: str, wrong: Callable[[str], None]) -> str:
    if variable == "$$":
        return "$"
    name, has_default, default = variable[2:-1].partition(":-")
    if has_default:
        return os.environ.get(name) or expanded(default, wrong)
    if name not in os.environ:
        wrong(f"the environment variable {name} is not set (a default: ${{{name}:-...}})")
    return os.environ.get(name, "")


def _checked(text: str, wrong: Callable[[str], None]) -> str:
    """A text between variables; reports things that look like variables but are not."""
    unclosed, foreign = _BEGIN.search(text), _ELSEWHERE.search(text)
    if unclosed:
        wrong(f"'{text[unclosed.start() :][:40]}' has no end: a '}}' is missing (write $$ for a dollar sign)")
    elif foreign:
        wrong(f"'{foreign[0]}...' is not supported: write ${{NAME}} or ${{NAME:-default}} ($$ for a dollar sign)")
    return text


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text into parts, each with whether it is an outermost variable (or ``$$``)."""
    done = 0
    while (begin := _BEGIN.search(text, done)) is not None:
        end = begin.end() if begin[2] != ":-" else _end(text, begin.end())
        if end is None:
            break
        yield text[done : begin.start()], False
        yield text[begin.start() : end], True
        done = end
    yield text[done:], False


def _end(text: str, start: int) -> int | None:
    """The end of the default that begins at ``start``, with its closing brace; None without one."""
    depth = 1
    for mark in re.finditer(r"\$\$|\$\{|\}", text[start:]):
        depth += {"${": 1, "}": -1}.get(mark[0], 0)
        if not depth:
            return start + mark.end()
    return None
