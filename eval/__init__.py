"""Measuring pipelines: datasets, measures with intervals, run folders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.eval.agreement import agreement
    from rag.eval.claim_judge import ClaimJudge
    from rag.eval.compared import Compared
    from rag.eval.comparison import compare_runs
    from rag.eval.comparison_report import write_comparison
    from rag.eval.datasets.base import Dataset, Split
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.make import make_dataset
    from rag.eval.datasets.nulls import without_answers
    from rag.eval.datasets.split import split_dataset
    from rag.eval.datasets.write import write_dataset
    from rag.eval.evaluation import Evaluation, evaluate
    from rag.eval.exact import against_exact
    from rag.eval.judge import Case, Claim, Judge, Judgement
    from rag.eval.judging import judge_answers
    from rag.eval.measures import parse_measures, per_query
    from rag.eval.pairs import Pair
    from rag.eval.report import render_report, write_report
    from rag.eval.runs import RunValues, read_run_values
    from rag.eval.verdicts import Verdict, verdict

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
        "Case": "rag.eval.judge",
        "Claim": "rag.eval.judge",
        "ClaimJudge": "rag.eval.claim_judge",
        "Compared": "rag.eval.compared",
        "Dataset": "rag.eval.datasets.base",
        "Evaluation": "rag.eval.evaluation",
        "Judge": "rag.eval.judge",
        "Judgement": "rag.eval.judge",
        "Pair": "rag.eval.pairs",
        "RunValues": "rag.eval.runs",
        "Split": "rag.eval.datasets.base",
        "Verdict": "rag.eval.verdicts",
        "against_exact": "rag.eval.exact",
        "agreement": "rag.eval.agreement",
        "compare_runs": "rag.eval.comparison",
        "evaluate": "rag.eval.evaluation",
        "judge_answers": "rag.eval.judging",
        "load_dataset": "rag.eval.datasets.load",
        "make_dataset": "rag.eval.datasets.make",
        "parse_measures": "rag.eval.measures",
        "per_query": "rag.eval.measures",
        "read_run_values": "rag.eval.runs",
        "render_report": "rag.eval.report",
        "split_dataset": "rag.eval.datasets.split",
        "verdict": "rag.eval.verdicts",
        "without_answers": "rag.eval.datasets.nulls",
        "write_comparison": "rag.eval.comparison_report",
        "write_dataset": "rag.eval.datasets.write",
        "write_report": "rag.eval.report",
    },
)
