"""The typed record behind ``metrics.json``, for writing and reading.

``docs/run-folder.md`` explains each entry. Entries with a default were added over time; older runs get the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from rag.display import Interval, Part, Shown, Table, count
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
    """A mean over queries. ``ci95`` is its bootstrap interval, or None with fewer than two queries."""

    mean: float | None
    ci95: tuple[float, float] | None = None


class Latency(_Entry):
    """Milliseconds of single queries, as percentiles over ``n_queries`` of them."""

    p50: float
    p95: float
    n_queries: int


class Spending(_Entry):
    """Counted costs; see :class:`rag.costs.Costs`."""

    seconds: float
    texts_embedded: int = 0
    scorer_calls: int = 0
    llm_calls: int = 0
    llm_tokens: int = 0


class _Step(_Entry):
    name: str


class StepCosts(Spending, _Step):
    """Costs of a step of fitting."""


class _Left(_Step):
    candidates: float


class StageCosts(Spending, _Left):
    """Search costs of a stage, and the mean number of ``candidates`` it leaves per query."""


class StageLosses(_Step):
    """Relevant documents left and lost at a stage."""

    left: int = Field(validation_alias=AliasChoices("left", "found"))  # its name in older runs
    recall: float
    lost: int
    oracle: float


class StageChange(_Step):
    """The headline measure after a stage; how much it ``change``d it, and the bootstrap interval of that. The first
    has changed nothing.
    """

    value: float
    change: float | None = None
    ci95: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """Whether it raised or lowered the measure, or nobody can tell."""
        if self.change is None:
            return ""
        if self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]:
            return "no difference that is sure"
        return "raised" if self.change > 0 else "lowered"


class Losses(_Entry):
    """Losses of relevant documents, by stage."""

    relevant: int = 0
    measure: str = ""
    stages: Sequence[StageLosses] = ()
    not_in_corpus: int = 0


class WorstQuery(_Entry):
    """A query with a large loss by a failure mode."""

    query_id: str
    query: str
    documents: int
    loss: float


class FailureMode(_Entry):
    """A reason for a headline measure below its best value; see :mod:`rag.eval.diagnostics.failures`."""

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
    """The kinds of queries separated by one criterion."""

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
    """Size of the corpus searched."""

    documents: int
    passages: int
    fingerprint: str = ""


class Metrics(Shown, _Entry):
    """Measures of a run, and its provenance."""

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
    changes: Sequence[StageChange] = ()
    fit: Sequence[StepCosts]
    indexes: Sequence[IndexSize] = ()
    filters: Sequence[Mapping[str, Any]] = ()
    answers: Mapping[str, Any] | None = None
    corpus: CorpusSize
    config_fingerprint: str
    queries_fingerprint: str = ""
    versions: Mapping[str, str]
    machine: str = ""
    models: Mapping[str, Sequence[str]] = {}
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
        """Name of the first measure, by which losses are reported."""
        return next(iter(self.measures))

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-compatible objects; ``against_exact`` only if measured."""
        values = self.model_dump(mode="json")
        if self.against_exact is None:
            del values["against_exact"]
        return values

    def _summary(self) -> list[str]:
        where = f"{self.dataset} / {self.split}, {count(self.n_queries, 'query', 'queries')}"
        measures = [f"{name} {_bounded(mean)}" for name, mean in self.measures.items()]
        alone = f"; one query alone {self.latency_ms.p50:.1f} ms (p50)" if self.latency_ms else ""
        speed = f"{self.throughput_qps:,.0f} queries per second in batch{alone}"
        return [f"Evaluation on {where}", *measures[:3], speed, *[f"note: {note}" for note in self.notes[:1]]]

    def _details(self) -> list[Part]:
        measures = [
            [name, Interval(_value(mean), *(mean.ci95 or (None, None)))] for name, mean in self.measures.items()
        ]
        n = self.n_queries
        stages = [
            [stage.name, stage.seconds / n * 1e3, stage.candidates, stage.scorer_calls / n] for stage in self.stages
        ]
        notes = [Table(["notes"], [[note] for note in self.notes])] if self.notes else []
        return [
            Table(["measure", "mean and 95 % interval"], measures),
            Table(["stage", "ms per query", "documents left", "scorer calls"], stages),
            *notes,
        ]


def read_metrics(folder: Path) -> Metrics:
    """Read the record of a run folder.

    Raises:
        ArtifactError: There is no run, or its ``metrics.json`` is unreadable or incomplete.
    """
    path = folder / "metrics.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: no run there (no metrics.json)") from None
    except OSError as error:
        raise ArtifactError(f"{folder}: damaged: {system_message(error)}") from None
    except ValueError as error:
        raise ArtifactError(f"{folder}: damaged: {error}") from None
    try:
        return Metrics.model_validate(values)
    except ValidationError as error:
        mistake = error.errors()[0]
        location = ".".join(map(str, mistake["loc"]))
        message = f"its files do not fit together (metrics.json: {location}: {mistake['msg']})"
        raise ArtifactError(f"{folder}: damaged: {message}") from None


def _value(mean: Mean) -> float:
    return float("nan") if mean.mean is None else mean.mean


def _bounded(mean: Mean) -> str:
    return f"{_value(mean):.4f}" + (f" [{mean.ci95[0]:.4f}, {mean.ci95[1]:.4f}]" if mean.ci95 else "")
