"""Words that other tools take for "nothing" or for a truth value, and YAML 1.2 for text.

``stopwords: no`` is Norwegian to a program, "none" to who wrote it. Unquoted, such a word is refused where it would be
taken for a text, unless it is one of the texts that the argument lists; quoted it is what it is.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from rag.component import Parameter
from rag.config.node import Node

__all__ = ["WORDS", "misread"]

_NOTHING = frozenset({"no", "off", "none", "false", "n"})
_TRUE = frozenset({"yes", "on", "true", "y"})
WORDS = _NOTHING | _TRUE
"""In lower case."""


def misread(node: Node, parameter: Parameter) -> str | None:
    """What is wrong with a value that is one of these words, or None."""
    value = node.value
    if isinstance(value, bool) and not _takes(parameter.annotation, bool):
        word = "true" if value else "false"
    elif isinstance(value, str) and node.bare and value.lower() in WORDS:
        word = value
    else:
        return None
    if value in _texts(parameter.annotation):
        return None
    if _takes(parameter.annotation, bool):
        return f"must be true or false, got '{word}'"
    if not (_takes(parameter.annotation, str) or _texts(parameter.annotation)):
        return None  # a number or a component is wanted, and that is said anyway
    quoted = f'; as a text put it in quotes: "{word}"' if _takes(parameter.annotation, str) else ""
    if _takes(parameter.annotation, type(None)) and word.lower() in _NOTHING:
        return f"got {word}, and that is a text: for nothing write null{quoted}"
    if quoted and isinstance(value, str):
        return f"got {word}, which may mean a truth value{quoted}"
    return None


def _takes(annotation: Any, kind: type) -> bool:
    """Whether a value of this type is among those of an annotation, at its top."""
    if annotation is kind:
        return True
    if get_origin(annotation) is Literal or get_origin(annotation) in (list, tuple, dict):
        return False
    inner = get_args(annotation)
    return any(_takes(one, kind) for one in (inner[:1] if hasattr(annotation, "__metadata__") else inner))


def _texts(annotation: Any) -> tuple[Any, ...]:
    """The texts that an annotation lists."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = get_args(annotation)
    inner = inner[:1] if hasattr(annotation, "__metadata__") else inner
    return tuple(text for one in inner if get_origin(one) not in (list, tuple, dict) for text in _texts(one))
