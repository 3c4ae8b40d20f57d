"""Values of arguments: nested containers with plain values, components or live objects at the leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["is_plain", "leaves", "mapped", "without_numpy"]


def mapped(value: Any, leaf: Callable[[Any], Any], *, as_json: bool = False) -> Any:
    """Rebuild a nested value with ``leaf`` applied to everything that is not a container.

    Args:
        value: The value; its containers are copied, never changed.
        leaf: Function for the new leaf.
        as_json: Makes every sequence a list and every key a string; otherwise tuples stay tuples.
    """
    if isinstance(value, (list, tuple)):
        items = [mapped(item, leaf, as_json=as_json) for item in value]
        return items if as_json else type(value)(items)
    if isinstance(value, Mapping):
        return {(str(key) if as_json else key): mapped(item, leaf, as_json=as_json) for key, item in value.items()}
    return leaf(value)


def leaves(value: Any) -> Iterator[Any]:
    """Everything in a nested value that is not a container."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value


def is_plain(leaf: Any) -> bool:
    """Whether YAML can represent a leaf."""
    return leaf is None or isinstance(leaf, (str, int, float, bool))


def without_numpy(leaf: Any) -> Any:
    """Convert a numpy scalar to a Python number, since arguments are compared, hashed and written to YAML."""
    return leaf.item() if type(leaf).__module__ == "numpy" and getattr(leaf, "ndim", None) == 0 else leaf
