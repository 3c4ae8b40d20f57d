"""A run as one HTML file: measures, their certainty, times and costs, and failing queries.

Python computes the numbers, ``templates/report.html.j2`` lays them out. Data for scripts (Plotly figures, and the
results of every stage for any query) is embedded compressed; without scripts, tables show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.arguments import refuses_unknown
from rag.errors import ArtifactError, cannot_be
from rag.eval.diagnostics.failures import remedy, words
from rag.eval.measures.answers import MEASURES
from rag.eval.metrics import Mean, Metrics, StageCosts, StepCosts, read_metrics
from rag.eval.outcome import Outcome
from rag.eval.reports.certainty import more_questions
from rag.eval.reports.distribution import distribution, histogram
from rag.eval.reports.figures import Figure, stage_recall
from rag.eval.reports.filter_view import filter_views
from rag.eval.reports.learned_view import learned_views
from rag.eval.reports.pages import number, render_page
from rag.eval.reports.picture import steps
from rag.eval.reports.query_details import fault, query_details, with_metadata
from rag.eval.reports.summary import summary_of_run
from rag.eval.runs.query_table import query_table
from rag.eval.runs.settings import read_settings
from rag.store.writing import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]

__all__ = ["render_report", "write_report"]

_WORST = 10
"""Number of queries shown in full."""
_ROWS = 5000
"""Maximum number of queries in the table, to keep the file under 6 MB."""

_MEANINGS = {
    "nDCG": "how close the order of {among} is to the best possible one; 1 is perfect",
    "R": "share of the relevant documents that are among {among}",
    "RR": "1 / rank of the first relevant document, 0 when none is among {among}",
    "AP": "precision at each relevant document among {among}, averaged",
    "P": "share of {among} that is relevant",
    "Success": "share of queries with a relevant document among {among}",
    "SetP": "share of {among} that is relevant; where nothing is, 1 for returning nothing",
    "SetR": "share of the relevant documents that is returned; where there is none, 1 for returning nothing",
    "SetF": "harmonic mean of SetP and SetR; where nothing is relevant, 1 for returning nothing",
    "Judged": "share of {among} that is judged",
}
_COUNTERS = {
    "scorer_calls": "scorer call{s}",
    "texts_embedded": "text{s} embedded",
    "llm_calls": "LLM call{s}",
    "llm_tokens": "LLM token{s}",
}


@refuses_unknown
def render_report(run: Path | Outcome) -> str:
    """Render the report of a run as one self-contained HTML file.

    Args:
        run: A folder with ``config.yaml``, ``metrics.json`` and ``per_query.parquet``, or an evaluation.

    Raises:
        ArtifactError: There is no run, or it is damaged.
    """
    from jinja2 import TemplateError

    try:
        view, figures, details = _view(_of_evaluation(run) if isinstance(run, Outcome) else _read(run))
        return render_page(
            "report.html.j2", view, scripts=["queries.js"], figures=figures, data=details, filters={"fault": fault}
        )
    except (ArithmeticError, AttributeError, LookupError, TemplateError, TypeError, ValueError) as error:
        if isinstance(run, Outcome):
            raise
        raise ArtifactError(f"{run}: damaged: its files do not fit together ({error!r})") from None


@refuses_unknown
def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder, atomically.

    Returns:
        Path of the report.

    Raises:
        ArtifactError: There is no run, it is damaged, or the folder cannot be written.
    """
    path = run / "report.html"
    text = render_report(run)
    with cannot_be("written", path):
        replace_file(path, text)
    return path


# -- values for the template -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Measure:
    """A mean with its interval. ``drawn`` says whether it lies on the common scale from 0 to 1."""

    name: str
    mean: float
    low: float | None
    high: float | None
    meaning: str

    @property
    def drawn(self) -> bool:
        return all(0 <= value <= 1 for value in (self.mean, self.low, self.high) if value is not None)


@dataclass(frozen=True, slots=True)
class _Spending:
    """Costs in time and models: stages, each with its ``share`` of the seconds in [0, 1], and their total.

    ``columns`` has the counters that are not 0 everywhere, by key; ``words`` their totals in words.
    """

    stages: list[dict[str, Any]]
    total: dict[str, float]
    columns: dict[str, str]
    words: str


@dataclass(frozen=True, slots=True)
class _Run:
    """The data of a run that a report shows; ``pipeline`` is ``config`` as plain values."""

    metrics: Metrics
    queries: pa.Table
    config: str
    pipeline: Mapping[str, Any]


def _view(run: _Run) -> tuple[dict[str, Any], dict[str, Figure], dict[str, Any]]:
    """Values for the template, the figures by id, and the details of every query."""
    metrics, queries = run.metrics, run.queries
    measures = [_measure(name, mean) for name, mean in metrics.measures.items()]
    names = [measure.name for measure in measures]
    scores = {name: queries[name].to_numpy() for name in names}
    primary = scores[names[0]]
    unit = bool(((primary >= 0) & (primary <= 1)).all())
    # Worst first; queries with equal values of the primary measure are ordered by the others.
    order = np.lexsort([scores[name] for name in reversed(names)])
    rows = queries.take(order[:_ROWS]).to_pylist()
    modes = [(failure.mode, failure.stage) for failure in metrics.failures]
    bins, bin_of = histogram(primary, order[:_ROWS])
    for row, number_of_bin in zip(rows, bin_of.tolist(), strict=True):
        row["bin"] = number_of_bin
        row["modes"] = [modes.index((fault["mode"], fault["stage"])) for fault in row.get("failures") or ()]
    numbers = {row["query_id"]: index for index, row in enumerate(rows)}
    filters = filter_views(metrics.filters)
    figures = {id: figure for view in filters for id, figure in view.figures.items()}
    if len(primary) > 1:
        figures["plot-distribution"] = distribution(bins, measures[0].name, measures[0].mean)
    questions = more_questions(primary)
    if questions:
        figures["plot-questions"] = questions[1]
    picture = steps(metrics, run.pipeline)
    losses = metrics.attribution
    if losses.relevant and len(losses.stages) > 1:  # for a single stage the table suffices
        figures["plot-recall"] = stage_recall(losses, measures[0].mean)
    view = {
        "metrics": metrics,
        "created": _when(metrics.created),
        "measures": measures,
        "picture": picture,
        "chunker": _chunker(run.pipeline),
        "brief": summary_of_run(metrics, primary, picture),
        "questions": questions[0] if questions else [],
        "config": run.config,
        "search": _spending(metrics.stages),
        "fit": _spending(metrics.fit),
        "answer_meanings": MEASURES,
        "filters": filters,
        "learned": learned_views(metrics.learned),
        "histogram": bins,
        "figures": figures,
        "modes": [
            {
                **failure.model_dump(),
                "name": words(failure.mode, failure.stage),
                "remedy": remedy(failure.mode),
                "listed": sum(index in row["modes"] for row in rows),
                "worst": [{**worst.model_dump(), "number": numbers.get(worst.query_id)} for worst in failure.worst],
            }
            for index, failure in enumerate(metrics.failures)
        ],
        "lost": sum(failure.loss for failure in metrics.failures),
        "n_zero": int((primary == 0).sum()),
        # Measures that count something have no perfect value.
        "n_perfect": int((primary == 1).sum()) if unit else None,
        "median": float(np.median(primary)),
        "rows": rows,
        "worst": [with_metadata(row) for row in rows[:_WORST] if not unit or row[names[0]] < 1],
    }
    return view, figures, query_details(rows, names, modes)


def _read(run: Path) -> _Run:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metrics = read_metrics(run)
    try:
        config = (run / "config.yaml").read_text(encoding="utf-8")
        return _Run(metrics, pq.read_table(run / "per_query.parquet"), config, read_settings(run / "config.yaml"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{run}: damaged: {error}") from None


def _of_evaluation(evaluation: Outcome) -> _Run:
    pipeline = evaluation.pipeline
    return _Run(evaluation.record, query_table(evaluation), pipeline.to_yaml(), pipeline.spec.to_config())


def _measure(name: str, mean: Mean) -> _Measure:
    low, high = mean.ci95 or (None, None)
    kind, _, cutoff = name.partition("@")
    among = f"the first {cutoff}" if cutoff else "all returned"
    return _Measure(
        name,
        float("nan") if mean.mean is None else mean.mean,
        low,
        high,
        _MEANINGS.get(kind.partition("(")[0], "").format(among=among),
    )


def _spending(steps: Sequence[StepCosts | StageCosts]) -> _Spending:
    stages = [step.model_dump() for step in steps]
    total = {key: sum(stage[key] for stage in stages) for key in ("seconds", *_COUNTERS)}
    rows = [{**stage, "share": stage["seconds"] / total["seconds"] if total["seconds"] else 0.0} for stage in stages]
    spent = [f"{number(total[key])} {name.format(s='' if total[key] == 1 else 's')}" for key, name in _used(total)]
    columns = {key: name.format(s="s") for key, name in _used(total)}
    return _Spending(rows, total, columns, ", ".join(spent) or "no model was asked")


def _used(total: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(key, name) for key, name in _COUNTERS.items() if total[key]]


def _chunker(pipeline: Mapping[str, Any]) -> str:
    """Type of the chunker; empty where it leaves documents whole, or is the default."""
    chunker = pipeline.get("chunker")
    name = chunker.get("type") if isinstance(chunker, dict) else None
    return name if isinstance(name, str) and name not in ("none", "auto") else ""


def _when(iso: str) -> str:
    """Format an ISO time for reading."""
    time = datetime.fromisoformat(iso)
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".strip()
