"""Parse YAML text to nodes.

YAML 1.2 by ruamel.yaml, composed to nodes only: no Python object is ever constructed from a tag. Variables are
replaced in every value; an unquoted result is parsed as YAML, so ``${TOP_K:-50}`` is a number.

Keys that begin with ``x-`` are ignored at the top of a file and in mappings with a ``type`` (or ``extends``): they
hold anchors, whose values are checked where an alias inserts them.
"""

from __future__ import annotations

from typing import Any, cast

from rag.config.environment import expanded, masked, unmasked
from rag.config.node import Node
from rag.errors import Location, Mistakes

__all__ = ["parse"]

_MAX_NODES = 100_000
"""Limit far above any pipeline; aliases that multiply each other reach it quickly."""


def parse(text: str, name: str, mistakes: Mistakes, *, is_file: bool = True) -> Node | None:
    """Parse a text to nodes; None when it is not YAML.

    Args:
        text: YAML text.
        name: Name of the file in locations.
        mistakes: Receives all mistakes.
        is_file: Whether it is a whole file, in whose outermost mapping ``x-`` keys are ignored.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    text = masked(text)
    try:
        composed = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
        parts = [part for part in (error.problem, error.context) if part]
        mistakes.add(f"not valid YAML: {'; '.join(parts)}", location=location)
        return None
    except ReaderError as error:
        before = text[: error.position]
        location = Location(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        mistakes.add(f"not valid YAML: the character {chr(error.character)!r} is not allowed", location=location)
        return None
    except YAMLError as error:
        mistakes.add(f"not valid YAML: {error}", location=Location(name))
        return None
    except RecursionError:
        mistakes.add("not valid YAML: nested too deeply", location=Location(name))
        return None
    if composed is None:
        mistakes.add("the file is empty", location=Location(name))
        return None
    return _Converter(name, mistakes, is_file).convert(composed, (), None)


class _Converter:
    """Converts composed YAML nodes to :class:`Node`, and finds duplicate keys and foreign tags."""

    def __init__(self, file: str, mistakes: Mistakes, is_file: bool) -> None:
        from ruamel.yaml import YAML

        self.file = file
        self.mistakes = mistakes
        self.is_file = is_file
        self.yaml = YAML(typ="safe", pure=True)
        self.count = 0

    def convert(self, composed: Any, path: tuple[str, ...], key: Location | None, above: tuple[int, ...] = ()) -> Node:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        location = self._location(composed)
        if key is not None and composed.start_mark.index == composed.end_mark.index:
            location = key  # an empty value: YAML places it after the next token
        self.count += 1
        if id(composed) in above or self.count > _MAX_NODES:
            problem = "contains itself" if id(composed) in above else f"expands to more than {_MAX_NODES} values"
            if self.count <= _MAX_NODES + 1:
                self._mistake(f"the alias {problem}", path, location)
            return Node(None, location, key)
        above = (*above, id(composed))
        if isinstance(composed, MappingNode):
            self._check_tag(composed, "map", path)
            return Node(self._mapping(composed, path, above), location, key)
        if isinstance(composed, SequenceNode):
            self._check_tag(composed, "seq", path)
            items = [self.convert(item, (*path, str(n)), None, above) for n, item in enumerate(composed.value)]
            return Node(items, location, key)
        return Node(self._scalar(composed, path), location, key, composed.style is None)

    def _mapping(self, composed: Any, path: tuple[str, ...], above: tuple[int, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        has_anchors = (self.is_file and not path) or any(key.value in ("type", "extends") for key, _ in composed.value)
        for key_node, value_node in composed.value:
            location = self._location(key_node)
            name = unmasked(key_node.value) if isinstance(key_node.value, str) else key_node.value
            if not isinstance(name, str):
                self._mistake("a key must be a plain name", path, location)
            elif key_node.tag and str(key_node.tag).endswith(":merge"):
                self._mistake("merge keys (<<) are not supported: use 'extends', or repeat the keys", path, location)
            elif name in entries:
                first = cast("Location", entries[name].key)
                self._mistake(f"duplicate key '{name}', first given in line {first.line}", path, location)
            elif not (has_anchors and name.startswith("x-")):
                entries[name] = self.convert(value_node, (*path, name), location, above)
        return entries

    def _scalar(self, composed: Any, path: tuple[str, ...]) -> Any:
        tag = str(composed.tag)
        if tag.rpartition(":")[2] not in {"str", "int", "float", "bool", "null", "timestamp"} or "yaml.org" not in tag:
            self._check_tag(composed, "", path)
            return None
        written, plain = unmasked(composed.value), composed.style is None
        text = written
        if "$" in text:
            text = expanded(text, lambda message: self._mistake(message, path, self._location(composed)))
            if plain and text != written:
                tag = str(self.yaml.resolver.resolve(type(composed), text, (True, False)))
        if tag.endswith((":str", ":timestamp")):
            return text
        from ruamel.yaml.nodes import ScalarNode

        node = ScalarNode(tag, text, composed.start_mark, composed.end_mark)
        try:
            return self.yaml.constructor.construct_object(node, deep=True)
        except (ValueError, ArithmeticError, KeyError, AttributeError) as error:
            kind = tag.rpartition(":")[2]
            self._mistake(f"'{text[:40]}' is no {kind}: {error}", path, self._location(composed))
            return None

    def _check_tag(self, composed: Any, expected: str, path: tuple[str, ...]) -> None:
        if str(composed.tag) != f"tag:yaml.org,2002:{expected}":
            self._mistake(f"the tag {composed.tag} is not allowed", path, self._location(composed))

    def _location(self, composed: Any) -> Location:
        return Location(self.file, composed.start_mark.line + 1, composed.start_mark.column + 1)

    def _mistake(self, message: str, path: tuple[str, ...], location: Location) -> None:
        self.mistakes.add(message, ".".join(path), location)
