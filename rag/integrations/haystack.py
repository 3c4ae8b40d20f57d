"""A pipeline as a Haystack component.

::

    from haystack import Pipeline
    from rag.integrations.haystack import PipelineRetriever

    haystack = Pipeline()
    haystack.add_component("retriever", PipelineRetriever("index", top_k=5))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rag.conditions import check_condition
from rag.errors import ConfigError, MissingExtraError
from rag.pipeline import Pipeline

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ModuleNotFoundError:
    raise MissingExtraError("a Haystack component", package="haystack-ai", extra="haystack") from None

__all__ = ["PipelineRetriever"]


_TESTS = {"==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "in": "in", "not in": "nin"}
"""Our names of Haystack's comparisons."""


@component
class PipelineRetriever:
    """Answers with Haystack documents: the passage as content, and the metadata of the hit.

    Args:
        pipeline: A fitted pipeline, or the folder of a saved one, which is loaded by ``warm_up``. Only a folder can be
            serialized.
        top_k: Maximum number of documents; None takes all that the last stage returns.
        filters: A filter in Haystack's grammar, or a condition of :mod:`rag.conditions`.

    Raises:
        ConfigError: The filter is neither.
    """

    def __init__(
        self, pipeline: Pipeline | str | Path, *, top_k: int | None = None, filters: dict[str, Any] | None = None
    ) -> None:
        self.pipeline = pipeline
        self.top_k = top_k
        self.filters = filters
        self._loaded = pipeline if isinstance(pipeline, Pipeline) else None
        _condition(filters)

    def warm_up(self) -> None:
        """Load the saved pipeline."""
        if self._loaded is None:
            assert not isinstance(self.pipeline, Pipeline)
            self._loaded = Pipeline.load(self.pipeline)

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator, unused-ignore]
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """Search; arguments replace those of the constructor."""
        self.warm_up()
        assert self._loaded is not None
        condition = _condition(self.filters if filters is None else filters)
        wanted = self.top_k if top_k is None else top_k
        result = self._loaded.search(query, top_k=wanted, filter=condition, answer=False)
        documents = [
            Document(id=hit.document.id, content=hit.passage, meta=hit.flat_metadata, score=hit.score) for hit in result
        ]
        return {"documents": documents}

    def to_dict(self) -> dict[str, Any]:
        """The component for Haystack's YAML.

        Raises:
            ConfigError: It holds a pipeline object instead of a folder.
        """
        if isinstance(self.pipeline, Pipeline):
            raise ConfigError("must be the folder of a saved pipeline to be serialized", parameter="pipeline")
        values: dict[str, Any] = default_to_dict(
            self, pipeline=str(self.pipeline), top_k=self.top_k, filters=self.filters
        )
        return values

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PipelineRetriever:
        """The component that :meth:`to_dict` describes."""
        made: PipelineRetriever = default_from_dict(cls, data)
        return made


def _condition(filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """A condition from either grammar."""
    if filters is None:
        return None
    return check_condition(_translated(filters) if "operator" in filters else filters)


def _translated(filters: dict[str, Any]) -> dict[str, Any]:
    """A condition from Haystack's ``{"field": "meta.year", "operator": ">=", "value": 1970}`` and its combinations."""
    operator = filters.get("operator")
    if "conditions" in filters:
        parts = [_translated(part) for part in filters["conditions"]]
        if operator in ("AND", "OR"):
            return {operator.lower(): parts}
        if operator == "NOT":
            return {"not": {"and": parts}}
        raise ConfigError(f"a combination is AND, OR or NOT, got {operator!r}", parameter="filters")
    if operator not in _TESTS or "field" not in filters or "value" not in filters:
        raise ConfigError(
            f"a comparison has a field, a value and one of {', '.join(_TESTS)}, got {filters!r}", parameter="filters"
        )
    return {str(filters["field"]).removeprefix("meta."): {_TESTS[operator]: filters["value"]}}
