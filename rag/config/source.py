"""YAML files as trees that remember where everything was written.

YAML 1.2 by ruamel.yaml, composed to nodes only: no Python object is ever constructed from a tag. On top of it:

- ``extends: other.yaml`` (relative to the file): mappings are merged, everything else replaces. A mapping whose
  ``type`` differs replaces the one it overrides.
- ``${NAME}`` and ``${NAME:-default}`` in any value take environment variables; an unquoted value that results is
  read as YAML reads it, so ``${TOP_K:-50}`` is a number.
- ``a.b=value`` overrides, the value in YAML; items of lists by number (``stages.0.budget=20``).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from rag.errors import Location, Mistake

__all__ = ["Node", "dump", "extended", "node_from_python", "read_source"]

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")
_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
_HIDDEN = {mark: chr(0xF8E0 + number) for number, mark in enumerate("{}[],:#")}
"""What YAML would read as its own inside ``${NAME:-default}``, replaced while it parses; columns stay what they are."""
_MASK = str.maketrans(_HIDDEN)
_UNMASK = str.maketrans({hidden: mark for mark, hidden in _HIDDEN.items()})
_MAX_NODES = 100_000
"""More than any pipeline has; aliases that multiply each other reach it at once."""


@dataclass(frozen=True)
class Node:
    """A value in a file: a scalar, a list of nodes, or a mapping of names to nodes.

    Args:
        value: ``dict[str, Node]``, ``list[Node]`` or a scalar.
        location: Where the value begins.
        key: Where its key begins, for a value in a mapping.
    """

    value: Any
    location: Location
    key: Location | None = None

    @property
    def type(self) -> str | None:
        """The ``type`` of a mapping that has one."""
        if isinstance(self.value, dict) and "type" in self.value and isinstance(self.value["type"].value, str):
            return self.value["type"].value
        return None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_source(
    path: Path, *, overrides: Sequence[str] = (), mistakes: list[Mistake], _above: tuple[Path, ...] = ()
) -> Node | None:
    """Read a file with what it extends, then apply overrides. Mistakes are added to ``mistakes``; None when the file
    cannot be read at all.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        mistakes.append(Mistake(f"cannot be read: {error.strerror}", location=Location(str(path))))
        return None
    except UnicodeDecodeError as error:
        mistakes.append(Mistake(f"not valid UTF-8 at byte {error.start}", location=Location(str(path))))
        return None
    node = _parse(text, str(path), mistakes)
    if node is None:
        return None
    if isinstance(node.value, dict) and "extends" in node.value:
        node = extended(node, path, mistakes, _above)
        if node is None:
            return None
    for assignment in overrides:
        node = _override(node, assignment, mistakes)
    return node


def node_from_python(value: Any, location: Location = Location("")) -> Node:  # noqa: B008 - immutable
    """A tree of nodes without places."""
    if isinstance(value, Mapping):
        return Node({str(name): node_from_python(item, location) for name, item in value.items()}, location)
    if isinstance(value, (list, tuple)):
        return Node([node_from_python(item, location) for item in value], location)
    return Node(value, location)


def dump(config: Mapping[str, Any]) -> str:
    """A mapping as YAML in block style, keys in their order."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        def represent_str(self, data: Any) -> Any:
            # Line breaks of old YAML are escaped, which only double quotes can; elsewhere they are read as blanks.
            style = '"' if _BREAKS.search(data) else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Representer.add_representer(str, Representer.represent_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(_escaped(config), stream)
    return stream.getvalue()


def _escaped(value: Any) -> Any:
    """The value with what would be read as a variable written as text."""
    if isinstance(value, Mapping):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) and _VARIABLE.search(value) else value


# -- parsing ------------------------------------------------------------------------------------------------------


def _parse(text: str, name: str, mistakes: list[Mistake]) -> Node | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    if not any(mark in text for mark in _HIDDEN.values()):
        text = _VARIABLE.sub(lambda match: match[0].translate(_MASK), text)
    try:
        composed = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
        parts = [part for part in (error.problem, error.context) if part]
        mistakes.append(Mistake(f"not valid YAML: {'; '.join(parts)}", location=place))
        return None
    except ReaderError as error:
        before = text[: error.position]
        place = Location(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        mistakes.append(
            Mistake(f"not valid YAML: the character {chr(error.character)!r} is not allowed", location=place)
        )
        return None
    except YAMLError as error:
        mistakes.append(Mistake(f"not valid YAML: {error}", location=Location(name)))
        return None
    except RecursionError:
        mistakes.append(Mistake("not valid YAML: nested too deeply", location=Location(name)))
        return None
    if composed is None:
        mistakes.append(Mistake("the file is empty", location=Location(name)))
        return None
    return _Converter(name, mistakes).convert(composed, (), None)


class _Converter:
    """Composed YAML nodes to :class:`Node`, with duplicate keys and foreign tags found."""

    def __init__(self, file: str, mistakes: list[Mistake]) -> None:
        from ruamel.yaml import YAML

        self.file = file
        self.mistakes = mistakes
        self.yaml = YAML(typ="safe", pure=True)
        self.count = 0

    def convert(self, composed: Any, path: tuple[str, ...], key: Location | None, above: tuple[int, ...] = ()) -> Node:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        location = self._location(composed)
        if key is not None and composed.start_mark.index == composed.end_mark.index:
            location = key  # nothing is written: YAML places it after whatever comes next
        self.count += 1
        if id(composed) in above or self.count > _MAX_NODES:
            what = "contains itself" if id(composed) in above else f"expands to more than {_MAX_NODES} values"
            if self.count <= _MAX_NODES + 1:
                self._mistake(f"the alias {what}", path, location)
            return Node(None, location, key)
        above = (*above, id(composed))
        if isinstance(composed, MappingNode):
            self._check_tag(composed, "map", path)
            return Node(self._mapping(composed, path, above), location, key)
        if isinstance(composed, SequenceNode):
            self._check_tag(composed, "seq", path)
            items = [self.convert(item, (*path, str(n)), None, above) for n, item in enumerate(composed.value)]
            return Node(items, location, key)
        return Node(self._scalar(composed, path), location, key)

    def _mapping(self, composed: Any, path: tuple[str, ...], above: tuple[int, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in composed.value:
            where = self._location(key_node)
            name = key_node.value.translate(_UNMASK) if isinstance(key_node.value, str) else key_node.value
            if not isinstance(name, str):
                self._mistake("a key must be a plain name", path, where)
            elif key_node.tag and str(key_node.tag).endswith(":merge"):
                self._mistake("merge keys (<<) are not supported: use 'extends', or repeat the keys", path, where)
            elif name in entries:
                first = cast("Location", entries[name].key)
                self._mistake(f"duplicate key '{name}', first given in line {first.line}", path, where)
            else:
                entries[name] = self.convert(value_node, (*path, name), where, above)
        return entries

    def _scalar(self, composed: Any, path: tuple[str, ...]) -> Any:
        tag = str(composed.tag)
        if tag.rpartition(":")[2] not in {"str", "int", "float", "bool", "null", "timestamp"} or "yaml.org" not in tag:
            self._check_tag(composed, "", path)
            return None
        written, plain = composed.value.translate(_UNMASK), composed.style is None
        text = written
        if "$" in text:
            text = self._interpolate(text, path, self._location(composed))
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

    def _interpolate(self, text: str, path: tuple[str, ...], location: Location) -> str:
        def value(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            if name is None:
                return "$"
            if name in os.environ:
                return os.environ[name]
            if default is None:
                self._mistake(
                    f"the environment variable {name} is not set (a default: ${{{name}:-...}})", path, location
                )
            return default or ""

        return _VARIABLE.sub(value, text)

    def _check_tag(self, composed: Any, expected: str, path: tuple[str, ...]) -> None:
        if str(composed.tag) != f"tag:yaml.org,2002:{expected}":
            self._mistake(f"the tag {composed.tag} is not allowed", path, self._location(composed))

    def _location(self, composed: Any) -> Location:
        return Location(self.file, composed.start_mark.line + 1, composed.start_mark.column + 1)

    def _mistake(self, message: str, path: tuple[str, ...], location: Location) -> None:
        self.mistakes.append(Mistake(message, ".".join(path), location))


# -- extends and overrides ------------------------------------------------------------------------------------------


def extended(node: Node, path: Path, mistakes: list[Mistake], above: tuple[Path, ...] = ()) -> Node | None:
    """A mapping with ``extends`` merged over the file it names, relative to the file it stands in, ``path``."""
    base_node = node.value["extends"]
    own = Node({k: v for k, v in node.value.items() if k != "extends"}, node.location, node.key)
    if not isinstance(base_node.value, str):
        mistakes.append(Mistake("must be the path of a YAML file", "extends", base_node.location))
        return None
    base_path = path.parent / base_node.value
    if base_path.resolve() in (*above, path.resolve()):
        mistakes.append(Mistake(f"'{base_node.value}' extends itself in a circle", "extends", base_node.location))
        return None
    if not base_path.is_file():
        mistakes.append(Mistake(f"there is no file '{base_path}'", "extends", base_node.location))
        return None
    base = read_source(base_path, mistakes=mistakes, _above=(*above, path.resolve()))
    return _merge(base, own) if base is not None else None


def _merge(base: Node, over: Node) -> Node:
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    if over.type is not None and over.type != base.type:
        return over
    if "tune" in over.value:  # a distribution stands for a whole value
        return over
    merged = dict(base.value)
    for name, node in over.value.items():
        merged[name] = _merge(merged[name], node) if name in merged else node
    return Node(merged, over.location, over.key)


def _override(node: Node, assignment: str, mistakes: list[Mistake]) -> Node:
    name, equals, text = assignment.partition("=")
    place = Location(f"--set {assignment}")
    steps = [step for step in re.split(r"[.\[\]]+", name.strip()) if step]
    if not equals or not steps:
        mistakes.append(Mistake("must be PATH=VALUE, such as retriever.top_k=50", location=place))
        return node
    found: list[Mistake] = []
    value = _parse(text, place.file, found) if text.strip() else Node(None, place)
    mistakes.extend(Mistake(mistake.message, mistake.path, place) for mistake in found)
    if value is None:
        return node
    return _assign(node, steps, _placed(value, place), name, mistakes)


def _placed(node: Node, place: Location) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {name: _placed(item, place) for name, item in value.items()}
    elif isinstance(value, list):
        value = [_placed(item, place) for item in value]
    return Node(value, place, place)


def _assign(node: Node, steps: list[str], value: Node, name: str, mistakes: list[Mistake]) -> Node:
    if not steps:
        return value if node.type is None else _merge(node, value)  # of a component, what is not said stays
    step, *rest = steps
    if isinstance(node.value, dict):
        below = node.value.get(step, Node({} if rest else None, value.location, value.location))
        return replace(node, value=node.value | {step: _assign(below, rest, value, name, mistakes)})
    if isinstance(node.value, list):
        if step.isdecimal() and int(step) < len(node.value):
            items = list(node.value)
            items[int(step)] = _assign(items[int(step)], rest, value, name, mistakes)
            return replace(node, value=items)
        message = f"'{step}' is no item of the list, which has {len(node.value)} (numbered from 0)"
    else:
        message = f"there is nothing below it to set '{step}' in: it is {node.value!r}"
    mistakes.append(Mistake(message, name, value.location))
    return node
