"""Effect of filters: measures over all (query, candidate) pairs together, before and after the cut.

Ranking measures compare candidates of one query; a filter's threshold compares candidates of all queries. So all
figures here are pooled: a pair is a candidate of some query, and relevant if judged so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.eval.datasets.base import Qrels
from rag.eval.measures.auroc import auroc
from rag.filters.base import Filter
from rag.filters.curve import ThresholdCurve
from rag.learning.gains import judged_documents
from rag.tables import in_list, is_in

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["FilterLog", "calibration_error", "filter_logs"]

_BINS = 10
_CURVE = 60
"""Number of points stored of a curve."""
_EXAMPLES = 5

Array = npt.NDArray[Any]


def calibration_error(probabilities: Array, relevant: Array) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015), and the nonempty bins."""
    bin_of = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bin_of, minlength=_BINS)
    mean = np.bincount(bin_of, probabilities, _BINS) / np.maximum(counts, 1)
    share = np.bincount(bin_of, relevant, _BINS) / np.maximum(counts, 1)
    error = float((counts * np.abs(mean - share)).sum() / max(len(bin_of), 1))
    bins = [
        {"pairs": int(counts[n]), "probability": float(mean[n]), "relevant": float(share[n])}
        for n in np.flatnonzero(counts).tolist()
    ]
    return error, bins


@dataclass
class FilterLog:
    """The input and output of one filter, batch by batch.

    Args:
        name: Name of the filter's stage.
        before: Name of the stage before it, which gives its input.
        filter: The fitted filter.
    """

    name: str
    before: str
    filter: Filter
    _parts: list[tuple[Array, ...]] = field(default_factory=list)
    _kept: list[Array] = field(default_factory=list)
    _answerable: list[Array] = field(default_factory=list)
    _queries: list[Array] = field(default_factory=list)
    _examples: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"lost": [], "cut": []})

    def add(self, batch: QueryBatch, pipeline: Pipeline, qrels: Qrels, ignored: Array | None = None) -> None:
        """Add a batch that went through the pipeline with a trace.

        Args:
            batch: The queries, with their trace.
            pipeline: The pipeline.
            qrels: Judgments of the queries.
            ignored: Position of a document to leave out for each query.
        """
        assert batch.trace is not None
        candidates, left = batch.trace[self.before], batch.trace[self.name]
        grades = _grades(batch, candidates, pipeline, qrels)
        values = self.filter.values(batch, candidates)
        mask = candidates.mask
        if ignored is not None:
            mask = mask & (candidates.documents != ignored[:, None])
        passed = is_in(candidates.documents, left.documents) & mask
        self._parts.append((values[mask], candidates.scores[mask], grades[mask], passed[mask]))
        self._kept.append(passed.sum(axis=1))
        self._queries.append(self._of_queries(mask, passed, grades > 0, values))
        judged = [qrels.get(query.id, {}) for query in batch.queries]
        self._answerable.append(
            np.array([any(grade > 0 for grade in judgments.values()) for judgments in judged], dtype=bool)
        )
        for outcome, which in (("lost", ~passed & (grades > 0)), ("cut", ~passed & (grades <= 0))):
            self._note(
                outcome, batch, candidates, values, grades, np.where(which & mask, candidates.scores, -np.inf), pipeline
            )

    def summary(self) -> dict[str, Any]:
        """The filter's entry in ``metrics.json``."""
        empty = (np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
        values, scores, grades, passed = (
            np.concatenate(arrays) for arrays in zip(*(self._parts or [empty]), strict=True)
        )
        n_kept = np.concatenate(self._kept or [np.zeros(0, dtype=int)])
        nothing = ~np.concatenate(self._answerable or [np.zeros(0, dtype=bool)])
        relevant, passed = grades > 0, passed.astype(bool)
        entry: dict[str, Any] = {
            "name": self.name,
            "before": self.before,
            "threshold": _finite(self.filter.threshold),
            "rule": self.filter.rule,
            "top_k": self.filter.top_k,
            "keep": self.filter.keep,
            "calibration": None if self.filter.cut is None else self.filter.cut.as_dict(),
            "pairs": len(values),
            "relevant": int(relevant.sum()),
            "judged": float((grades != _UNJUDGED).mean()) if len(values) else 0.0,
            "removed": float(1 - passed.mean()) if len(values) else 0.0,
            "empty": float((n_kept == 0).mean()) if len(n_kept) else 0.0,
            "unanswerable": {
                "queries": int(nothing.sum()),
                "empty": float((n_kept[nothing] == 0).mean()) if nothing.any() else None,
            },
            "questions": self._risk(),
            "recall": None,
            "precision": float(relevant[passed].mean()) if passed.any() else None,
            "kept": _histogram(n_kept),
            "examples": self._examples,
        }
        finite = np.isfinite(values)  # a filter may give no value to candidates it never keeps
        if relevant[finite].any():
            entry["recall"] = float(passed[relevant].mean())
            for name, ranked_by in (("curve", values[finite]), ("curve_before", scores[finite])):
                curve = ThresholdCurve.of(ranked_by, relevant[finite])
                recall, precision = curve.recall, curve.precision
                points = np.unique(np.linspace(0, len(recall) - 1, _CURVE * 20).astype(int))
                points = points[np.searchsorted(recall[points], np.linspace(0, recall[-1], _CURVE))]
                entry[name] = {
                    "pr_auc": curve.area,
                    "p_at_r95": float(precision[curve.at_recall(0.95)]),
                    "points": np.stack([recall, precision], axis=1)[np.unique(points)].round(4).tolist(),
                }
        if self.filter.gives_probabilities and len(values):
            error, bins = calibration_error(values, relevant)
            entry["ece"], entry["reliability"] = error, bins
            entry["brier"] = float(((values - relevant) ** 2).mean())
        return entry

    def _of_queries(self, mask: Array, passed: Array, relevant: Array, values: Array) -> Array:
        """Of each query: whether anything is returned; whether something relevant is among the first candidates, as
        many as the filter's ``depth`` says; whether it is returned; and the largest value, float64 [n, 4].
        """
        depth = self.filter.spec.arguments.get("depth") or mask.shape[1]
        right = mask & relevant & (np.cumsum(mask, axis=1) <= depth)
        value = np.where(mask, values, -np.inf).max(axis=1, initial=-np.inf)
        columns = passed.any(axis=1), right.any(axis=1), (right & passed).any(axis=1), value
        return np.stack(columns, axis=1).astype(np.float64)

    def _risk(self) -> dict[str, Any]:
        """How many queries are answered, how many of them from nothing relevant, and whether its values tell which."""
        answered, could, right, value = np.concatenate(self._queries or [np.zeros((0, 4))]).T
        wrong, there = answered * (1 - right), np.isfinite(value)
        return {
            "answered": float(answered.mean()) if len(answered) else 0.0,
            "abstained": int(len(answered) - answered.sum()),
            "wrong": float(wrong.mean()) if len(wrong) else 0.0,
            "wrong_of_answered": float(wrong.sum() / answered.sum()) if answered.any() else None,
            "auroc": auroc(value[there], could[there] > 0),
        }

    def _note(
        self,
        outcome: str,
        batch: QueryBatch,
        candidates: Candidates,
        values: Array,
        grades: Array,
        scores: Array,
        pipeline: Pipeline,
    ) -> None:
        """Keep the highest-scored cut candidates as examples, at most one per query."""
        if not scores.size:
            return
        best = scores.argmax(axis=1)
        top = scores[np.arange(len(best)), best]
        for row in np.argsort(-top, kind="stable")[:_EXAMPLES].tolist():
            if np.isfinite(top[row]):
                column = int(best[row])
                (document,) = pipeline.corpus.documents([int(candidates.documents[row, column])])
                title, grade = document.metadata.get("title"), int(grades[row, column])
                self._examples[outcome].append(
                    {
                        "query": batch.queries[row].text,
                        "document": document.id,
                        "title": title if isinstance(title, str) and title.strip() else document.text[:120],
                        "grade": None if grade == _UNJUDGED else grade,
                        "score": float(top[row]),
                        "value": _finite(float(values[row, column])),
                        "rank": column + 1,
                    }
                )
        self._examples[outcome] = sorted(self._examples[outcome], key=lambda example: -example["score"])[:_EXAMPLES]


def filter_logs(pipeline: Pipeline) -> list[FilterLog]:
    """A log for each filter of a pipeline."""
    names = ["retriever", *(f"stages.{index} {stage.type}" for index, stage in enumerate(pipeline.stages))]
    return [
        FilterLog(names[index + 1], names[index], stage)
        for index, stage in enumerate(pipeline.stages)
        if isinstance(stage, Filter)
    ]


_UNJUDGED = -(1 << 31)


def _grades(batch: QueryBatch, candidates: Candidates, pipeline: Pipeline, qrels: Qrels) -> Array:
    """Grades of candidates, int64 [n, k]; the smallest 32-bit integer where unjudged."""
    rows, documents, graded = judged_documents(batch.queries, qrels, pipeline.corpus)
    present = documents >= 0
    table = Candidates.from_rows(len(batch), rows[present], documents[present], graded[present], documents[present])
    grades, column = in_list(table, candidates.documents)
    return np.where(column >= 0, np.nan_to_num(grades, nan=0.0).astype(np.int64), _UNJUDGED)


def _histogram(n_kept: Array) -> list[dict[str, int]]:
    """Number of queries by the number of results kept: none, 1, 2 to 3, 4 to 7, ..."""
    edges: Sequence[int] = [0, 1, *(2**n for n in range(1, 32) if 2**n <= max(int(n_kept.max(initial=0)), 1))]
    bounds = [*edges, 2 * max(edges[-1], 1)]
    return [
        {"low": low, "high": high - 1, "queries": int(((n_kept >= low) & (n_kept < high)).sum())}
        for low, high in pairwise(bounds)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
