"""Configuration: YAML to a tree of components and back, with every mistake at its line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rag.config.build import build
from rag.config.source import Node, dump, node_from_python, read_source
from rag.errors import ConfigError, Location, Mistake

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["Node", "build", "build_pipeline", "dump", "load_pipeline", "read_source"]

_NOWHERE = Location("")


def load_pipeline(path: str | Path, *, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline that a file describes.

    Args:
        path: A YAML file.
        overrides: Assignments such as ``retriever.top_k=50``, made before anything is checked.

    Raises:
        ConfigError: Every mistake found, each with its place.
    """
    mistakes: list[Mistake] = []
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise ConfigError(mistakes)
    return _build_pipeline(node, mistakes)


def build_pipeline(config: Mapping[str, Any]) -> Pipeline:
    """The pipeline that a mapping describes, as :meth:`Component.to_config` gives it."""
    return _build_pipeline(node_from_python(config), [])


def _build_pipeline(node: Node, mistakes: list[Mistake]) -> Pipeline:
    from rag.pipeline import Pipeline

    pipeline = build(node, Pipeline, mistakes=mistakes)
    if mistakes:
        raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.location or _NOWHERE))
    return cast("Pipeline", pipeline)
