"""Parse the tree of a sweep: distributions become parameters, with the conditions under which they exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rag.config import build
from rag.config.source import Node, node_from_python
from rag.errors import Mistakes
from rag.hpo.space.distributions import Categorical, Choice, Distribution, MaybePresent
from rag.hpo.space.parameter import ABSENT, Parameter, Tuned, typed

__all__ = ["Parser"]


class Parser:
    """Replaces the distributions in a tree.

    Args:
        mistakes: Receives all mistakes.
        root: Path of the tree, for messages.
    """

    def __init__(self, mistakes: Mistakes, root: str) -> None:
        self.mistakes = mistakes
        self.root = root
        self.parameters: dict[str, Parameter] = {}
        self.names: dict[Any, str] = {}
        """Names by location of the distribution: copies by an alias are one parameter."""

    def parse(self, node: Node, path: str, condition: Mapping[str, Any]) -> Node:
        """The tree with a :class:`~rag.hpo.space.parameter.Tuned` in place of each distribution.

        Args:
            node: The tree.
            path: Path of the node below the root.
            condition: Choices by parameter name under which the node exists.
        """
        identity: Any = node.location if node.location.line else id(node.value)
        if isinstance(node.value, Distribution):
            identity = id(node.value)
            arguments = {name: value for name, value in node.value.spec.arguments.items() if value is not None}
            node = node_from_python({"tune": node.value.type, **arguments})
        if isinstance(node.value, dict) and "tune" in node.value:
            return self._distribution(node, path, condition, identity)
        if isinstance(node.value, dict):
            return replace(node, value={k: self.parse(v, _join(path, k), condition) for k, v in node.value.items()})
        if isinstance(node.value, list):
            items = [self.parse(item, _join(path, str(n)), condition) for n, item in enumerate(node.value)]
            return replace(node, value=items)
        return node

    def _distribution(self, node: Node, path: str, condition: Mapping[str, Any], identity: Any) -> Node:
        arguments = {"type" if name == "tune" else name: item for name, item in node.value.items()}
        if "type" in node.value:
            message = "a distribution has 'tune' where a component has 'type': give one of them"
            self.mistakes.add(message, _join(self.root, path), node.value["type"].location)
            return node
        built = build(replace(node, value=arguments), Distribution, mistakes=self.mistakes, path=_join(self.root, path))
        if not isinstance(built, Distribution):
            return node
        name = built.name or self.names.get(identity) or path
        self.names[identity] = name
        earlier = self.parameters.get(name)
        if earlier is not None and earlier.distribution.fingerprint != built.fingerprint:
            message = f"two different distributions are called '{name}'"
            self.mistakes.add(message, _join(self.root, path), node.location)
            return node
        if earlier is None:
            self.parameters[name] = Parameter(name, path, built, (dict(condition),))
        elif dict(condition) not in earlier.conditions:
            self.parameters[name] = replace(earlier, conditions=(*earlier.conditions, dict(condition)))
        return replace(node, value=Tuned(name, self._options(node, name, path, built, condition)))

    def _options(
        self, node: Node, name: str, path: str, built: Distribution, condition: Mapping[str, Any]
    ) -> dict[Any, Any] | None:
        if isinstance(built, MaybePresent):
            of = node.value["of"]
            # An optional value with alternatives is two decisions, so two names.
            below = f"{path}[of]" if isinstance(of.value, dict) and "tune" in of.value else path
            inside = self.parse(of, below, {**condition, name: True})
            return {True: inside, False: ABSENT}
        if isinstance(built, Choice):
            return {
                label: self.parse(option, f"{path}[{label}]", {**condition, name: label})
                for label, option in zip(built.names, node.value["options"].value, strict=True)
            }
        if isinstance(built, Categorical):
            written = node.value["choices"].value
            return dict(zip(map(typed, built.choices), written, strict=True))
        return None

    def ordered(self) -> tuple[Parameter, ...]:
        """The parameters, each after those on which its existence depends."""
        left, done = list(self.parameters.values()), dict[str, Parameter]()
        while left:
            ready = next((p for p in left if all(n in done for choices in p.conditions for n in choices)), left[0])
            done[ready.name] = ready
            left.remove(ready)
        return tuple(done.values())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
