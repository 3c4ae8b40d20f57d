"""The registered components: entry points of group ``rag.components``, named ``kind.type``, loaded when first used.

Ours are declared in ``pyproject.toml``; another distribution declares its own the same way::

    [project.entry-points."rag.components"]
    "retriever.mine" = "my_package.mine:MyRetriever"
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import TypeVar

from rag.component import Component
from rag.errors import ConfigError, did_you_mean
from rag.installed import entry_points

__all__ = ["component_class", "contract_of", "kinds", "types_of"]

GROUP = "rag.components"

logger = logging.getLogger("rag.registry")

C = TypeVar("C", bound=Component)


@functools.cache
def _entries() -> Mapping[str, Mapping[str, list[EntryPoint]]]:
    """Entry points by kind and type: several where packages register the same one. An entry without a kind is ignored
    with a warning.
    """
    by_kind: dict[str, dict[str, list[EntryPoint]]] = {}
    for entry in entry_points(group=GROUP):
        kind, dot, name = entry.name.partition(".")
        if not dot:
            package = entry.dist.name if entry.dist is not None else "an unknown package"
            logger.warning(
                "entry point '%s' of group %s in %s is ignored: the name must be 'kind.type'",
                entry.name,
                GROUP,
                package,
            )
            continue
        same = by_kind.setdefault(kind, {}).setdefault(name, [])
        if entry.value not in [earlier.value for earlier in same]:
            same.append(entry)
    return by_kind


def kinds() -> list[str]:
    """Kinds that have components, sorted."""
    return sorted(_entries())


def types_of(kind: str) -> list[str]:
    """Registered types of a kind, sorted."""
    return sorted(_entries().get(kind, {}))


def component_class(kind: str, name: str) -> type[Component]:
    """The class registered as ``kind.name``; its module is imported now.

    Raises:
        ConfigError: No such component, two packages register it, or its class is not a component of that kind or has
            arguments without types.
    """
    known = _entries().get(kind, {})
    if name not in known:
        elsewhere = [other for other in kinds() if name in _entries()[other]]
        where = f" ('{name}' is a {' and a '.join(elsewhere)})" if elsewhere else ""
        raise ConfigError(f"unknown {kind} '{name}'{where}{did_you_mean(name, known)}", parameter="type")
    entry, *others = known[name]
    if others:
        values = f"{entry.value} and {others[0].value}"
        raise ConfigError(f"two packages register the component '{kind}.{name}': {values}; remove one")
    try:
        cls = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {kind} '{name}' ({entry.value}) cannot be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Component) and cls.kind == kind and cls.type == name):
        raise ConfigError(
            f"entry point '{kind}.{name}' = {entry.value} is not a component with kind '{kind}' and type '{name}'"
        )
    try:
        _ = cls.spec.parameters
    except TypeError as error:
        raise ConfigError(f"the {kind} '{name}' ({entry.value}) cannot be used: {error}") from error
    return cls


def contract_of(kind: str) -> type[Component]:
    """The contract that all components of a kind share, such as ``Embedder``."""
    for name in types_of(kind):
        for base in reversed(component_class(kind, name).__mro__):
            if issubclass(base, Component) and base.kind == kind:
                return base
    raise ConfigError(f"unknown kind '{kind}'{did_you_mean(kind, kinds())}")
