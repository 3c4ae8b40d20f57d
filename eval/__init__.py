"""Measuring pipelines: datasets, measures with intervals, run folders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.eval.comparison.compare import compare
    from rag.eval.comparison.comparing import compare_runs
    from rag.eval.comparison.pairs import Pair
    from rag.eval.comparison.result import Compared
    from rag.eval.comparison.verdicts import Verdict, verdict
    from rag.eval.datasets.base import Dataset, Split
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.make import make_dataset
    from rag.eval.datasets.nulls import without_answers
    from rag.eval.datasets.split import split_dataset
    from rag.eval.datasets.write import write_dataset
    from rag.eval.diagnostics.exact import against_exact
    from rag.eval.evaluation import evaluate
    from rag.eval.judges.agreement import agreement
    from rag.eval.judges.base import Case, Claim, Judge, Judgment
    from rag.eval.judges.claims import ClaimJudge
    from rag.eval.judges.judging import judge_answers
    from rag.eval.measures.names import parse_measures
    from rag.eval.measures.values import per_query
    from rag.eval.metrics import Metrics
    from rag.eval.reports.comparison import write_comparison
    from rag.eval.reports.report import render_report, write_report
    from rag.eval.result import Evaluation
    from rag.eval.runs.reading import RunValues, read_run_values

__all__ = [
    "Case",
    "Claim",
    "ClaimJudge",
    "Compared",
    "Dataset",
    "Evaluation",
    "Judge",
    "Judgment",
    "Metrics",
    "Pair",
    "RunValues",
    "Split",
    "Verdict",
    "against_exact",
    "agreement",
    "compare",
    "compare_runs",
    "evaluate",
    "judge_answers",
    "load_dataset",
    "make_dataset",
    "parse_measures",
    "per_query",
    "read_run_values",
    "render_report",
    "split_dataset",
    "verdict",
    "without_answers",
    "write_comparison",
    "write_dataset",
    "write_report",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Case": "rag.eval.judges.base",
        "Claim": "rag.eval.judges.base",
        "ClaimJudge": "rag.eval.judges.claims",
        "Compared": "rag.eval.comparison.result",
        "Dataset": "rag.eval.datasets.base",
        "Evaluation": "rag.eval.result",
        "Judge": "rag.eval.judges.base",
        "Judgment": "rag.eval.judges.base",
        "Metrics": "rag.eval.metrics",
        "Pair": "rag.eval.comparison.pairs",
        "RunValues": "rag.eval.runs.reading",
        "Split": "rag.eval.datasets.base",
        "Verdict": "rag.eval.comparison.verdicts",
        "against_exact": "rag.eval.diagnostics.exact",
        "agreement": "rag.eval.judges.agreement",
        "compare": "rag.eval.comparison.compare",
        "compare_runs": "rag.eval.comparison.comparing",
        "evaluate": "rag.eval.evaluation",
        "judge_answers": "rag.eval.judges.judging",
        "load_dataset": "rag.eval.datasets.load",
        "make_dataset": "rag.eval.datasets.make",
        "parse_measures": "rag.eval.measures.names",
        "per_query": "rag.eval.measures.values",
        "read_run_values": "rag.eval.runs.reading",
        "render_report": "rag.eval.reports.report",
        "split_dataset": "rag.eval.datasets.split",
        "verdict": "rag.eval.comparison.verdicts",
        "without_answers": "rag.eval.datasets.nulls",
        "write_comparison": "rag.eval.reports.comparison",
        "write_dataset": "rag.eval.datasets.write",
        "write_report": "rag.eval.reports.report",
    },
)
