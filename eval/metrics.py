"""The record behind ``metrics.json``: typed where it is written, and where it is read again.

``docs/run-folder.md`` says what each entry means. Entries with a default were added over time; a run written before has
the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import ArtifactError, system_message

__all__ = [
    "CorpusSize",
    "FailureMode",
    "IndexSize",
    "Kind",
    "Latency",
    "Losses",
    "Mean",
    "Metrics",
    "Slice",
    "Spending",
    "StageCosts",
    "StageLosses",
    "StepCosts",
    "WorstQuery",
    "read_metrics",
]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mean(_Entry):
    """A mean over queries. ``ci95``: its bootstrap interval; None with fewer than two queries."""

    mean: float | None
    ci95: tuple[float, float] | None = None


class Latency(_Entry):
    """Milliseconds of single queries, as percentiles over ``n_queries`` of them."""

    p50: float
    p95: float
    n_queries: int


class Spending(_Entry):
    """What was spent; see :class:`rag.costs.Costs`."""

    seconds: float
    texts_embedded: int = 0
    scorer_calls: int = 0
    llm_calls: int = 0
    llm_tokens: int = 0


class _Step(_Entry):
    name: str


class StepCosts(Spending, _Step):
    """What a step of fitting spent."""


class _Left(_Step):
    candidates: float


class StageCosts(Spending, _Left):
    """What a stage spent on searching, and the mean number of ``candidates`` that it leaves of a query."""


class StageLosses(_Step):
    """Relevant documents after a stage."""

    found: int
    recall: float
    lost: int
    oracle: float


class Losses(_Entry):
    """What became of the relevant documents."""

    relevant: int = 0
    measure: str = ""
    stages: Sequence[StageLosses] = ()
    not_in_corpus: int = 0


class WorstQuery(_Entry):
    """A query that a failure mode costs much."""

    query_id: str
    query: str
    documents: int
    loss: float


class FailureMode(_Entry):
    """What keeps the headline measure from its best; see :mod:`rag.eval.diagnostics.failures`."""

    mode: str
    stage: str | None
    setting: str | None = None
    documents: int
    share: float
    queries: int
    loss: float
    worst: Sequence[WorstQuery]


class Kind(_Entry):
    """The measures of one kind of queries."""

    kind: str
    n_queries: int
    measures: Mapping[str, Mean]


class Slice(_Entry):
    """The kinds of queries that one criterion tells apart."""

    by: str
    kinds: Sequence[Kind]


class IndexSize(_Entry):
    """Size and building time of an index."""

    name: str
    type: str
    bytes: int
    bytes_per_document: float
    build_seconds: float


class CorpusSize(_Entry):
    """What was searched."""

    documents: int
    passages: int
    fingerprint: str = ""


class Metrics(_Entry):
    """What was measured, and what made it."""

    dataset: str
    split: str
    n_queries: Annotated[int, Field(ge=1)]
    measures: Annotated[Mapping[str, Mean], Field(min_length=1)]
    latency_ms: Latency | None
    throughput_qps: float
    costs: Spending
    stages: Sequence[StageCosts]
    attribution: Losses = Losses()
    failures: Sequence[FailureMode] = ()
    slices: Sequence[Slice] = ()
    overlap: Mapping[str, Any] | None = None
    learned: Sequence[Mapping[str, Any]] = ()
    fit: Sequence[StepCosts]
    indexes: Sequence[IndexSize] = ()
    filters: Sequence[Mapping[str, Any]] = ()
    answers: Mapping[str, Any] | None = None
    corpus: CorpusSize
    config_fingerprint: str
    queries_fingerprint: str = ""
    versions: Mapping[str, str]
    machine: str = ""
    seed: int
    ignore_identical_ids: bool = False
    calls: Sequence[Mapping[str, Any]] = ()
    incomplete: str | None = None
    max_failed: float = 0.0
    remarks: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    created: str
    against_exact: Mapping[str, Any] | None = None

    @property
    def headline(self) -> str:
        """Name of the first measure, by which failures are told."""
        return next(iter(self.measures))

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON takes it; ``against_exact`` only where it was measured."""
        values = self.model_dump(mode="json")
        if self.against_exact is None:
            del values["against_exact"]
        return values


def read_metrics(folder: Path) -> Metrics:
    """Read the record of a run folder.

    Raises:
        ArtifactError: There is no run, its ``metrics.json`` cannot be read, or lacks what every run has.
    """
    path = folder / "metrics.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: there is no run (no metrics.json)") from None
    except OSError as error:
        raise ArtifactError(f"{folder}: damaged: {system_message(error)}") from None
    except ValueError as error:
        raise ArtifactError(f"{folder}: damaged: {error}") from None
    try:
        return Metrics.model_validate(values)
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        message = f"its files do not fit together (metrics.json: {where}: {mistake['msg']})"
        raise ArtifactError(f"{folder}: damaged: {message}") from None
