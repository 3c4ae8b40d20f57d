"""Read files as trees of nodes, merge the files they extend, and apply overrides from the command line.

See :mod:`rag.config.reader`, :mod:`rag.config.environment`, :mod:`rag.config.extends`, :mod:`rag.config.overrides`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.config.extends import check_unset, resolved
from rag.config.node import Node, node_from_python
from rag.config.overrides import overridden
from rag.config.reader import parse
from rag.config.writing import dump
from rag.errors import Location, Mistakes, system_message

__all__ = ["Node", "dump", "extended", "node_from_python", "read_source"]


def read_source(path: Path, *, overrides: Sequence[str] = (), mistakes: Mistakes) -> Node | None:
    """Read a file with what it extends, then apply overrides.

    Args:
        path: The file.
        overrides: Assignments such as ``retriever.top_k=50``. Paths in values are relative to the working folder.
        mistakes: Receives all mistakes.

    Returns:
        The tree; None when the file, or one that it extends, cannot be read.
    """
    node = _read(path, (), mistakes)
    if node is None:
        return None
    for assignment in overrides:
        node = overridden(node, assignment, lambda value: _extended(value, Path(), (), mistakes), mistakes)
    return check_unset(node, mistakes)


def extended(node: Node, folder: Path, mistakes: Mistakes) -> Node | None:
    """A tree from another source, merged over the files it extends; None when a file cannot be read.

    Args:
        node: The tree.
        folder: Folder to which paths in the tree are relative.
        mistakes: Receives all mistakes.
    """
    whole = _extended(node, folder, (), mistakes)
    return None if whole is None else check_unset(whole, mistakes)


def _read(path: Path, above: tuple[Path, ...], mistakes: Mistakes) -> Node | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        mistakes.add(f"cannot be read: {system_message(error)}", location=Location(str(path)))
        return None
    except UnicodeDecodeError as error:
        mistakes.add(f"not valid UTF-8 at byte {error.start}", location=Location(str(path)))
        return None
    node = parse(text, str(path), mistakes)
    return None if node is None else _extended(node, path.parent, (*above, path.resolve()), mistakes)


def _extended(node: Node, folder: Path, above: tuple[Path, ...], mistakes: Mistakes) -> Node | None:
    return resolved(node, folder, above, lambda path: _read(path, above, mistakes), mistakes)
