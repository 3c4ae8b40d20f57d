"""Variables in values: ``${NAME}`` and ``${NAME:-default}``, as a shell reads them.

The default is taken where NAME is not set or empty, and may hold variables itself: ``${A:-${B:-30}}``. ``$$`` is one
dollar sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from rag.errors import ConfigError

__all__ = ["escaped", "expanded", "has_credentials", "masked", "revealed", "unmasked"]

_BEGIN = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-))")
_ELSEWHERE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?:[-+?=]|:[?+=])")
"""What shells have besides and files here do not."""

_CREDENTIALS = re.compile(r"(?i)password\s*=|://[^/@\s]*:[^/@\s]+@")

_HIDDEN = {mark: chr(0xF8E0 + number) for number, mark in enumerate("{}[],:#")}
"""What YAML would read as its own inside ``${NAME:-default}``, replaced while it parses; columns stay what they are."""
_MASK = str.maketrans(_HIDDEN)
_UNMASK = str.maketrans({hidden: mark for mark, hidden in _HIDDEN.items()})


def masked(text: str) -> str:
    """A file's text in which YAML sees nothing of its own inside variables."""
    if any(mark in text for mark in _HIDDEN.values()):
        return text
    # Line by line: one that has no end, in a comment perhaps, hides none of the others.
    return "".join(
        part.translate(_MASK) if is_variable else part
        for line in text.splitlines(keepends=True)
        for part, is_variable in _parts(line)
    )


def unmasked(text: str) -> str:
    """What was written, of something that YAML read of a masked text."""
    return text.translate(_UNMASK)


def escaped(text: str) -> str:
    """A text such that :func:`expanded` gives it back."""
    return text.replace("$", "$$") if _BEGIN.search(text) or _ELSEWHERE.search(text) else text


def expanded(text: str, wrong: Callable[[str], None]) -> str:
    """A text with the values of its variables.

    Args:
        text: As it was written.
        wrong: Called with a message for each variable that cannot be read.
    """
    return "".join(_value(part, wrong) if is_variable else _checked(part, wrong) for part, is_variable in _parts(text))


def has_credentials(text: str) -> bool:
    """Whether a text, apart from plain variables in it, holds what looks like a password in an address."""
    return _CREDENTIALS.search(re.sub(r"\$\{\w+\}", "", text)) is not None


def revealed(text: str, parameter: str) -> str:
    """The value of a :class:`rag.component.Secret`: for who connects with it, and nobody else.

    Args:
        text: As it was written.
        parameter: What messages call it.

    Raises:
        ConfigError: A variable in it is not set, or cannot be read.
    """
    mistakes: list[str] = []
    value = expanded(text, mistakes.append)
    if mistakes:
        raise ConfigError("; ".join(mistakes), parameter=parameter)
    return value


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
    """A text between variables; what looks like one and is none is said."""
    unclosed, foreign = _BEGIN.search(text), _ELSEWHERE.search(text)
    if unclosed:
        wrong(f"'{text[unclosed.start() :][:40]}' has no end: a '}}' is missing (write $$ for a dollar sign)")
    elif foreign:
        wrong(f"'{foreign[0]}...' is not supported: write ${{NAME}} or ${{NAME:-default}} ($$ for a dollar sign)")
    return text


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text in parts, each with whether it is a variable (or ``$$``), the outermost ones only."""
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
    """Where the default that begins at ``start`` and its closing bracket end; None where there is none."""
    depth = 1
    for mark in re.finditer(r"\$\$|\$\{|\}", text[start:]):
        depth += {"${": 1, "}": -1}.get(mark[0], 0)
        if not depth:
            return start + mark.end()
    return None
