"""Measuring pipelines: datasets, measures with intervals, run folders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from eval.comparison import Compared, Pair, compare_runs
    from eval.comparison_report import write_comparison
    from eval.datasets.base import Dataset, Split
    from eval.datasets.load import load_dataset
    from eval.datasets.nulls import without_answers
    from eval.evaluation import Evaluation, evaluate
    from eval.exact import against_exact
    from eval.measures import parse_measures, per_query
    from eval.report import render_report, write_report
    from eval.runs import RunValues, read_run_values

__all__ = [
    "Compared",
    "Dataset",
    "Evaluation",
    "Pair",
    "RunValues",
    "Split",
    "against_exact",
    "compare_runs",
    "evaluate",
    "load_dataset",
    "parse_measures",
    "per_query",
    "read_run_values",
    "render_report",
    "without_answers",
    "write_comparison",
    "write_report",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Compared": "eval.comparison",
        "Dataset": "eval.datasets.base",
        "Evaluation": "eval.evaluation",
        "Pair": "eval.comparison",
        "RunValues": "eval.runs",
        "Split": "eval.datasets.base",
        "against_exact": "eval.exact",
        "compare_runs": "eval.comparison",
        "evaluate": "eval.evaluation",
        "load_dataset": "eval.datasets.load",
        "parse_measures": "eval.measures",
        "per_query": "eval.measures",
        "read_run_values": "eval.runs",
        "render_report": "eval.report",
        "without_answers": "eval.datasets.nulls",
        "write_comparison": "eval.comparison_report",
        "write_report": "eval.report",
    },
)
