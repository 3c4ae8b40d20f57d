"""Words that other tools read as "nothing" or as booleans, but YAML 1.2 as text.

``stopwords: no`` means Norwegian to the program but "none" to its author. An unquoted word of this kind is refused
where it would be taken as text, unless the argument lists it as a choice; in quotes it is text.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from rag.component import Parameter
from rag.config.node import Node

__all__ = ["WORDS", "misread"]

_NOTHING = frozenset({"no", "off", "none", "false", "n"})
_TRUE = frozenset({"yes", "on", "true", "y"})
WORDS = _NOTHING | _TRUE
"""Such words, in lower case."""


def misread(node: Node, parameter: Parameter) -> str | None:
    """The mistake in a value that is one of these words, or None."""
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
        return None  # a number or a component is expected, reported elsewhere
    quoted = f'; as a text put it in quotes: "{word}"' if _takes(parameter.annotation, str) else ""
    if _takes(parameter.annotation, type(None)) and word.lower() in _NOTHING:
        return f"got {word}, and that is a text: for nothing write null{quoted}"
    if quoted and isinstance(value, str):
        return f"got {word}, which may mean a truth value{quoted}"
    return None


def _takes(annotation: Any, kind: type) -> bool:
    """Whether an annotation accepts values of this type at its top level."""
    if annotation is kind:
        return True
    if get_origin(annotation) is Literal or get_origin(annotation) in (list, tuple, dict):
        return False
    inner = get_args(annotation)
    return any(_takes(member, kind) for member in (inner[:1] if hasattr(annotation, "__metadata__") else inner))


def _texts(annotation: Any) -> tuple[Any, ...]:
    """The texts listed as choices by an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = get_args(annotation)
    inner = inner[:1] if hasattr(annotation, "__metadata__") else inner
    return tuple(text for member in inner if get_origin(member) not in (list, tuple, dict) for text in _texts(member))
