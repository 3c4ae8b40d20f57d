"""Mappings that extend other files.

``extends: base.yaml`` or ``extends: [base.yaml, other.yaml]``, in any mapping, relative to its file: values of these
files apply where the mapping has none; later files win over earlier ones. Mappings are merged, all other values
replaced; a mapping whose ``type`` differs replaces the inherited one. ``unset: [name, retriever.top_k]`` removes
inherited values, so that the defaults apply again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rag.config.node import Node
from rag.errors import Mistakes, did_you_mean

__all__ = ["check_unset", "merged", "resolved"]

_Read = Callable[[Path], "Node | None"]


def resolved(
    node: Node, folder: Path, above: Sequence[Path], read: _Read, mistakes: Mistakes, path: str = ""
) -> Node | None:
    """Merge every mapping with ``extends`` over the files it names.

    Args:
        node: The tree.
        folder: Folder to which paths in the tree are relative.
        above: Resolved paths of the files being read: extending one of them again would never end.
        read: Function that reads a file with what it extends; returns None for mistakes it has reported.
        mistakes: Receives all other mistakes.
        path: Path of the tree in its file.

    Returns:
        The tree; None when a file that it extends cannot be read.
    """

    def inner(item: Node, step: object) -> Node | None:
        return resolved(item, folder, above, read, mistakes, f"{path}.{step}" if path else str(step))

    if isinstance(node.value, list):
        items = [inner(item, index) for index, item in enumerate(node.value)]
        whole = [item for item in items if item is not None]
        return replace(node, value=whole) if len(whole) == len(items) else None
    if not isinstance(node.value, dict):
        return node
    entries = {name: inner(item, name) for name, item in node.value.items() if name != "extends"}
    complete = {name: item for name, item in entries.items() if item is not None}
    own = replace(node, value=complete) if len(complete) == len(entries) else None
    if "extends" not in node.value:
        return own
    before, base = len(mistakes), Node({}, node.location)
    at = f"{path}.extends" if path else "extends"
    for name in _names(node.value["extends"], at, mistakes):
        file = folder / name.value
        if file.resolve() in above:
            mistakes.add(f"'{name.value}' extends itself in a circle", at, name.location)
        elif not file.is_file():
            mistakes.add(f"no such file: '{file}'", at, name.location)
        else:
            parent = read(file)
            if parent is None:
                own = None
            elif not isinstance(parent.value, dict):
                message = f"'{name.value}' holds no mapping: there is nothing to extend"
                mistakes.add(message, at, name.location)
            else:
                base = merged(base, parent, mistakes, path)
    if own is None or any(mistake.path == at for mistake in mistakes[before:]):
        return None
    return merged(base, own, mistakes, path)


def merged(base: Node, over: Node, mistakes: Mistakes, path: str = "") -> Node:
    """Merge a value over an inherited one."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    if base.value and over.type is not None and over.type != base.type:
        return over
    if "tune" in over.value:  # a distribution replaces a whole value
        return over
    entries, overriding = dict(base.value), dict(over.value)
    if "unset" in overriding:
        at = f"{path}.unset" if path else "unset"
        for name in _names(overriding.pop("unset"), at, mistakes, are_files=False):
            entries = _without(entries, name.value.split("."), name, at, mistakes)
    for name, node in overriding.items():
        inner = f"{path}.{name}" if path else name
        entries[name] = merged(entries[name], node, mistakes, inner) if name in entries else node
    return Node(entries, over.location, over.key)


def check_unset(node: Node, mistakes: Mistakes, path: str = "") -> Node:
    """The tree without ``unset`` entries beside nothing inherited; each is a mistake."""
    if isinstance(node.value, list):
        return replace(node, value=[check_unset(item, mistakes, f"{path}.{n}") for n, item in enumerate(node.value)])
    if not isinstance(node.value, dict):
        return node
    entries = {}
    for name, item in node.value.items():
        inner = f"{path}.{name}" if path else name
        if name == "unset":
            message = "nothing is inherited here: 'unset' stands beside 'extends', or below one, in a mapping of the "
            mistakes.add(f"{message}same type", inner, item.key or item.location)
        else:
            entries[name] = check_unset(item, mistakes, inner)
    return replace(node, value=entries)


def _without(entries: dict[str, Node], steps: list[str], name: Node, path: str, mistakes: Mistakes) -> dict[str, Node]:
    """The mapping without the value at a dotted name."""
    step, *rest = steps
    below = entries.get(step)
    if below is None or (rest and not isinstance(below.value, dict)):
        message = f"'{name.value}' is not inherited: there is no '{step}'"
        mistakes.add(f"{message}{did_you_mean(step, entries)}", path, name.location)
        return entries
    if not rest:
        return {key: item for key, item in entries.items() if key != step}
    return entries | {step: replace(below, value=_without(below.value, rest, name, path, mistakes))}


def _names(node: Node, path: str, mistakes: Mistakes, *, are_files: bool = True) -> list[Node]:
    """The names that a value lists, or the single one it is."""
    items = node.value if isinstance(node.value, list) else [node]
    if items and all(isinstance(item.value, str) and item.value for item in items):
        return list(items)
    expected = "the path of a YAML file, or a list of them" if are_files else "an inherited name, or a list of them"
    mistakes.add(f"must be {expected}", path, node.location)
    return []
