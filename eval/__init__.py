"""Measuring pipelines: datasets, measures with intervals, run folders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from eval.agreement import agreement
    from eval.claim_judge import ClaimJudge
    from eval.compared import Compared
    from eval.comparison import compare_runs
    from eval.comparison_report import write_comparison
    from eval.datasets.base import Dataset, Split
    from eval.datasets.load import load_dataset
    from eval.datasets.make import make_dataset
    from eval.datasets.nulls import without_answers
    from eval.datasets.split import split_dataset
    from eval.datasets.write import write_dataset
    from eval.evaluation import Evaluation, evaluate
    from eval.exact import against_exact
    from eval.judge import Case, Claim, Judge, Judgement
    from eval.judging import judge_answers
    from eval.measures import parse_measures, per_query
    from eval.pairs import Pair
    from eval.report import render_report, write_report
    from eval.runs import RunValues, read_run_values
    from eval.verdicts import Verdict, verdict

__all__ = [
    "Case",
    "Claim",
    "ClaimJudge",
    "Compared",
    "Dataset",
    "Evaluation",
    "Judge",
    "Judgement",
    "Pair",
    "RunValues",
    "Split",
    "Verdict",
    "against_exact",
    "agreement",
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
        "Case": "eval.judge",
        "Claim": "eval.judge",
        "ClaimJudge": "eval.claim_judge",
        "Compared": "eval.compared",
        "Dataset": "eval.datasets.base",
        "Evaluation": "eval.evaluation",
        "Judge": "eval.judge",
        "Judgement": "eval.judge",
        "Pair": "eval.pairs",
        "RunValues": "eval.runs",
        "Split": "eval.datasets.base",
        "Verdict": "eval.verdicts",
        "against_exact": "eval.exact",
        "agreement": "eval.agreement",
        "compare_runs": "eval.comparison",
        "evaluate": "eval.evaluation",
        "judge_answers": "eval.judging",
        "load_dataset": "eval.datasets.load",
        "make_dataset": "eval.datasets.make",
        "parse_measures": "eval.measures",
        "per_query": "eval.measures",
        "read_run_values": "eval.runs",
        "render_report": "eval.report",
        "split_dataset": "eval.datasets.split",
        "verdict": "eval.verdicts",
        "without_answers": "eval.datasets.nulls",
        "write_comparison": "eval.comparison_report",
        "write_dataset": "eval.datasets.write",
        "write_report": "eval.report",
    },
)
