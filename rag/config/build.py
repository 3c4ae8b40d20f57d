"""Convert a tree of nodes to a tree of components, and collect all mistakes in one pass."""

from __future__ import annotations

from typing import Any

from rag.component import Component, Parameter, Slot
from rag.config.node import Node
from rag.config.words import misread
from rag.errors import ConfigError, Mistakes, did_you_mean
from rag.registry import component_class, types_of

__all__ = ["build"]


def build(node: Node, contract: Any, *, mistakes: Mistakes, path: str = "") -> Component | None:
    """Build a component from a mapping.

    Args:
        node: The mapping.
        contract: The class it must be of, such as ``Retriever``.
        mistakes: Receives all mistakes.
        path: Path of the mapping in the tree.

    Returns:
        The component; None when it or a part of it is wrong.
    """
    before = len(mistakes)
    kind = contract.kind
    if not isinstance(node.value, dict):
        example = node.value if node.value in types_of(kind) else types_of(kind)[0]
        mistakes.add(
            f"expected a {kind}, a mapping such as {{type: {example}}}, got {_shown(node)}", path, node.location
        )
        return None
    cls = _class_of(node, contract, mistakes, path)
    if cls is None:
        return None
    parameters = cls.spec.parameters
    arguments: dict[str, Any] = {}
    for name, item in node.value.items():
        if name == "type":
            continue
        inner_path = f"{path}.{name}" if path else name
        if name not in parameters:
            message = f"unknown argument '{name}' of {cls.spec.label}{did_you_mean(name, parameters)}"
            mistakes.add(message, path, item.key or item.location)
        else:
            arguments[name] = _argument(item, parameters[name], mistakes, inner_path)
    for parameter in parameters.values():
        if parameter.required and parameter.name not in node.value:
            mistakes.add(f"missing argument '{parameter.name}' of {cls.spec.label}", path, node.location)
    if len(mistakes) > before:
        return None
    try:
        component: Component = cls(**arguments)
    except ConfigError as error:
        for mistake in error.mistakes:
            at = node.value.get(error.parameter)
            mistakes.add(mistake.message, ".".join(p for p in (path, mistake.path) if p), (at or node).location)
        return None
    return component


def _class_of(node: Node, contract: Any, mistakes: Mistakes, path: str) -> Any:
    kind = contract.kind
    type_node = node.value.get("type")
    if type_node is None:
        message = f"missing 'type': which {kind} is it? (valid: {', '.join(types_of(kind))})"
        mistakes.add(message, path, node.location)
        return None
    if not isinstance(type_node.value, str):
        mistakes.add(f"'type' must be a name, got {_shown(type_node)}", path, type_node.location)
        return None
    try:
        cls: Any = component_class(kind, type_node.value)
    except ConfigError as error:
        for mistake in error.mistakes:
            mistakes.add(mistake.message, path, type_node.location)
        return None
    if not issubclass(cls, contract):
        mistakes.add(f"expected a {contract.__name__}, and '{type_node.value}' is not one", path, type_node.location)
        return None
    return cls


def _argument(node: Node, parameter: Parameter, mistakes: Mistakes, path: str) -> Any:
    slot = parameter.slot
    if slot is not None and not (node.value is None and slot.optional):
        before = len(mistakes)
        built = _components(node, slot, mistakes, path)
        if len(mistakes) == before:  # checks of the list as a whole
            for _, message in parameter.errors(built):
                mistakes.add(message, path, node.location)
        return built
    value = node.plain()
    wrong = misread(node, parameter)
    if wrong is not None:
        mistakes.add(wrong, path, node.location)
        return value
    for inner, message in parameter.errors(value):
        at = node
        for step in inner:
            at = at.value[step]
        mistakes.add(message, ".".join(map(str, (path, *inner))), at.location)
    return value


def _components(node: Node, slot: Slot, mistakes: Mistakes, path: str) -> Any:
    if slot.container == "one":
        return build(node, slot.contract, mistakes=mistakes, path=path)
    if not isinstance(node.value, list):
        mistakes.add(
            f"expected a list of components of kind '{slot.contract.kind}', got {_shown(node)}", path, node.location
        )
        return None
    items = enumerate(node.value)
    return [build(item, slot.contract, mistakes=mistakes, path=f"{path}.{index}") for index, item in items]


def _shown(node: Node) -> str:
    if isinstance(node.value, dict):
        return f"a mapping with {', '.join(node.value) or 'nothing'}"
    if isinstance(node.value, list):
        return f"a list of {len(node.value)}"
    return repr(node.value)
