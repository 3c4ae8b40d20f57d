"""Measuring pipelines: datasets, measures with intervals, run folders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from eval.datasets.base import Dataset, Split
    from eval.datasets.load import load_dataset
    from eval.datasets.nulls import without_answers
    from eval.evaluation import Evaluation, evaluate
    from eval.exact import against_exact
    from eval.measures import parse_measures, per_query
    from eval.report import render_report, write_report

__all__ = [
    "Dataset",
    "Evaluation",
    "Split",
    "against_exact",
    "evaluate",
    "load_dataset",
    "parse_measures",
    "per_query",
    "render_report",
    "without_answers",
    "write_report",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Dataset": "eval.datasets.base",
        "Evaluation": "eval.evaluation",
        "Split": "eval.datasets.base",
        "against_exact": "eval.exact",
        "evaluate": "eval.evaluation",
        "load_dataset": "eval.datasets.load",
        "parse_measures": "eval.measures",
        "per_query": "eval.measures",
        "render_report": "eval.report",
        "without_answers": "eval.datasets.nulls",
        "write_report": "eval.report",
    },
)
