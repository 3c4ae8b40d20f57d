"""Settings in which pipelines differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rag.config.source import read_source
from rag.errors import Mistakes

__all__ = ["UNSET", "differing_settings", "read_settings", "setting_text"]

UNSET = "–"
"""Placeholder for a setting that a pipeline does not have."""


def read_settings(path: Any) -> Mapping[str, Any]:
    """The pipeline of a run's ``config.yaml`` as plain values; empty if the file is missing or unreadable."""
    if not path.is_file():
        return {}
    node = read_source(path, mistakes=Mistakes())
    tree = node.plain() if node else {}
    return tree if isinstance(tree, dict) else {}


def differing_settings(pipelines: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that differ between pipelines, by path, by name of the pipeline.

    Components of different types differ as a whole, as do lists of different lengths. A pipeline without a setting is
    missing under its path.

    Args:
        pipelines: Plain values by name, as read by :func:`read_settings`.

    Example:
        >>> differing_settings({"a": {"retriever": {"type": "bm25", "k1": 1.2}}, "b": {"retriever": {"type": "bm25"}}})
        {'retriever.k1': {'a': 1.2}}
    """
    differing: dict[str, dict[str, Any]] = {}
    _compare("", dict(pipelines), len(pipelines), differing)
    return differing


def _compare(path: str, values: Mapping[str, Any], n: int, differing: dict[str, dict[str, Any]]) -> None:
    there = list(values.values())
    if len(there) == n and all(value == there[0] and type(value) is type(there[0]) for value in there):
        return
    if len(there) == n and all(isinstance(value, dict) for value in there):
        types = {value.get("type") for value in there}
        if len(types) == 1:
            for name in dict.fromkeys(key for value in there for key in value):
                own = {run: value[name] for run, value in values.items() if name in value}
                _compare(f"{path}.{name}" if path else str(name), own, n, differing)
            return
    if len(there) == n and all(isinstance(value, list) for value in there) and len({len(v) for v in there}) == 1:
        for index in range(len(there[0])):
            _compare(f"{path}.{index}", {run: value[index] for run, value in values.items()}, n, differing)
        return
    differing[path] = dict(values)


def setting_text(values: Mapping[str, Any], run: str, *, outline: bool = False) -> str:
    """A setting of a run, as one line of YAML in flow style.

    Args:
        values: The setting by run.
        run: Name of the run.
        outline: Whether of a component, and what it is made of, only the types are shown.

    Example:
        >>> dense = {"type": "dense", "embedder": {"type": "lsa", "dimension": 64}, "top_k": 50}
        >>> setting_text({"a": {"type": "hybrid", "retrievers": [{"type": "bm25"}, dense]}}, "a", outline=True)
        'hybrid(bm25, dense(lsa))'
    """
    if run not in values:
        return UNSET
    return (_outline(values[run]) if outline else "") or _flow(values[run])


def _outline(value: Any) -> str:
    """Types of the components in a value, each with those it is made of; empty if it holds none."""
    if isinstance(value, list):
        inner = [part for item in value if (part := _outline(item))]
        return ", ".join(inner)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return ""
    parts = [part for name, item in value.items() if name != "type" and (part := _outline(item))]
    return f"{value['type']}({', '.join(parts)})" if parts else value["type"]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
