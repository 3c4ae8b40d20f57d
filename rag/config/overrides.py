"""Values from the command line: ``a.b=value``, with the value in YAML and list items by number
(``stages.0.budget=20``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from rag.config.extends import merged
from rag.config.node import Node
from rag.config.reader import parse
from rag.errors import Location, Mistakes

__all__ = ["overridden"]


def overridden(node: Node, assignment: str, resolve: Callable[[Node], Node | None], mistakes: Mistakes) -> Node:
    """Change one value of a tree.

    Args:
        node: The tree, resolved.
        assignment: Assignment such as ``retriever.top_k=50``.
        resolve: Function that merges files extended by the value.
        mistakes: Receives all mistakes.
    """
    name, equals, text = assignment.partition("=")
    location = Location(f"--set {assignment}")
    steps = [step for step in re.split(r"[.\[\]]+", name.strip()) if step]
    if not equals or not steps:
        mistakes.add("must be PATH=VALUE, such as retriever.top_k=50", location=location)
        return node
    if steps[-1] in ("extends", "unset"):
        message = f"'{steps[-1]}' stands in files, and what is set comes after it: set the value itself"
        mistakes.add(message, location=location)
        return node
    parse_mistakes = Mistakes()
    value = parse(text, location.file, parse_mistakes, is_file=False) if text.strip() else Node(None, location)
    for mistake in parse_mistakes:
        mistakes.add(mistake.message, mistake.path, location)
    whole = None if value is None else resolve(_placed(value, location))
    return node if whole is None else _assign(node, steps, whole, name, mistakes)


def _placed(node: Node, location: Location) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {name: _placed(item, location) for name, item in value.items()}
    elif isinstance(value, list):
        value = [_placed(item, location) for item in value]
    return replace(node, value=value, location=location, key=location)


def _assign(node: Node, steps: list[str], value: Node, name: str, mistakes: Mistakes) -> Node:
    if not steps:
        # Of a component, other arguments stay.
        return value if node.type is None else merged(node, value, mistakes, name)
    step, *rest = steps
    if isinstance(node.value, dict):
        below = node.value.get(step, Node({} if rest else None, value.location, value.location))
        return replace(node, value=node.value | {step: _assign(below, rest, value, name, mistakes)})
    if isinstance(node.value, list):
        if step.isdecimal() and int(step) < len(node.value):
            items = list(node.value)
            items[int(step)] = _assign(items[int(step)], rest, value, name, mistakes)
            return replace(node, value=items)
        message = f"'{step}' is not an item of the list, which has {len(node.value)} (numbered from 0)"
    else:
        message = f"there is nothing below it to set '{step}' in: it is {node.value!r}"
    mistakes.add(message, name, value.location)
    return node
