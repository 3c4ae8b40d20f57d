"""Judging the answers of a run, and the agreement between judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any, get_args

from rag.arguments import refuses_unknown
from rag.calls import Calls, remarks_on
from rag.errors import ConfigError
from rag.eval.diagnostics.calls import called
from rag.eval.judges.agreement import agreement
from rag.eval.judges.base import Case, Judge, Judgment, Verdict
from rag.eval.measures.answers import means_of, references_of
from rag.eval.result import Evaluation
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.remarks import Remark, Remarks
from rag.store.store import Store
from rag.types import SearchResult

__all__ = ["check_judges", "judge_answers"]


def check_judges(pipeline: Pipeline, judges: Sequence[Judge], labels: Mapping[str, bool] | None = None) -> str | None:
    """Check judges and labels, and return the name of the stage that writes answers; None without such a stage.

    Raises:
        ConfigError: There is a judge but no such stage, labels but no judge, or a value that is not a judge or label.
    """
    steps = zip(pipeline.step_names[1:], pipeline.stages, strict=True)
    writing = next((name for name, stage in steps if stage.writes_answers), None)
    for judge in judges:
        if not isinstance(judge, Judge):
            raise ConfigError(
                f"must be a judge, such as rag.eval.ClaimJudge(model=...), got {judge!r}", parameter="judge"
            )
    if judges and writing is None:
        raise ConfigError(
            "nothing to judge: the pipeline has no stage that writes answers, such as generate",
            parameter="judge",
        )
    if labels is not None and not judges:
        raise ConfigError("labels are compared with those of a judge: name one", parameter="labels")
    for id, label in (labels or {}).items():
        if label not in (True, False):
            raise ConfigError(f"must be true or false, got {label!r} for '{id}'", parameter="labels")
    return writing


@refuses_unknown
def judge_answers(
    evaluation: Evaluation,
    judges: Sequence[Judge],
    *,
    labels: Mapping[str, bool] | None = None,
    seed: int = 0,
    store: Store | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Have judges judge the answers of an evaluation.

    Failed or abstained answers are not shown to a judge: they have no faithfulness, and correctness 0 where there is a
    reference; where there is known to be no answer, correctness is 1 for abstaining and 0 for anything else.

    Args:
        evaluation: The evaluation of a pipeline that writes answers.
        judges: One or several judges. A judge listed twice judges again, to show its agreement with itself.
        labels: Whether people consider an answer faithful, by query id, to report each judge's agreement with them.
        seed: Seed of the intervals.
        store: Cache of calls, by exact prompt and model.
        progress: Callback that shows progress.

    Returns:
        The evaluation with ``judges`` and ``agreement`` in ``answers`` of its metrics; see ``docs/run-folder.md``.

    Raises:
        ConfigError: The pipeline writes no answers.
        ModelError: A judge's model cannot be called at all.
    """
    check_judges(evaluation.pipeline, judges, labels)
    record = evaluation.record
    entries: list[dict[str, Any]] = []
    values: dict[str, Mapping[str, float | None]] = dict(evaluation.answers)
    judged: dict[str, Mapping[str, Judgment]] = {}
    faithful: dict[str, Mapping[str, bool]] = {}
    said = [result for result in evaluation.results if _says_something(result)]
    qrels = evaluation.split.qrels
    due = {
        result.query.id: references_of(result.query, qrels.get(result.query.id, {})) for result in evaluation.results
    }
    cases = [_case(result, due[result.query.id]) for result in said]
    before: Counter[str] = Counter()
    calls: list[Calls] = []
    for index, judge in enumerate(judges, 1):
        name = judge.type if index == 1 else f"{judge.type} {index}"
        repetition = before[judge.fingerprint]
        before[judge.fingerprint] += 1
        judgments = judge.judge(cases, store=store, progress=progress, repetition=repetition)
        of = {result.query.id: judgment for result, judgment in zip(said, judgments.judged, strict=True)}
        measures = {
            "faithfulness": {
                result.query.id: of.get(result.query.id, Judgment()).faithfulness for result in evaluation.results
            },
            "correctness": {
                result.query.id: _correctness(result, due[result.query.id], of.get(result.query.id))
                for result in evaluation.results
            },
        }
        calls += [replace(stage_calls, stage=f"judge {name}") for stage_calls in judgments.calls]
        problems = Counter(judgment.problem for judgment in judgments.judged if judgment.problem)
        entries.append(
            {
                "name": name,
                "judge": repr(judge),
                "repetition": repetition,
                "n_judged": len(cases),
                "measures": means_of(measures, seed=seed),
                "claims": _counts(judgments.judged, of_reference=False),
                "reference_claims": _counts(judgments.judged, of_reference=True),
                "problems": dict(problems.most_common(10)),
                "n_problems": problems.total(),
                "costs": asdict(judgments.costs),
            }
        )
        values |= {f"{measure} ({name})": by_query for measure, by_query in measures.items()}
        judged[name] = of
        shares = {id: share for id, share in measures["faithfulness"].items() if share is not None}
        faithful[name] = {id: share >= judge.passing for id, share in shares.items()}
    who = faithful | ({} if labels is None else {"labels": labels})
    answers = {
        **(record.answers or {}),
        "judges": entries,
        "agreement": [
            {"between": [first, other], **agreement(who[first], who[other], seed=seed)}
            for first, other in combinations(who, 2)
        ],
    }
    judging = called(calls, record.max_failed)
    remarks = Remarks([*(Remark.from_dict(dict(remark)) for remark in record.remarks), *remarks_on(calls)])
    record = record.model_copy(
        update={
            "answers": answers,
            "calls": [*record.calls, *judging["calls"]],
            "remarks": remarks.as_dicts(),
            "notes": remarks.messages,
            "incomplete": record.incomplete or judging["incomplete"],
        }
    )
    return replace(evaluation, record=record, answers=values, judged=judged)


def _says_something(result: SearchResult) -> bool:
    answer = result.answer
    return answer is not None and not answer.abstained and bool(answer.plain)


def _case(result: SearchResult, references: Sequence[str] | None) -> Case:
    assert result.answer is not None
    return Case(result.query.text, result.answer.plain, result.answer.passages, references or ())


def _correctness(result: SearchResult, references: Sequence[str] | None, judgment: Judgment | None) -> float | None:
    if references is None or result.answer is None:
        return None
    if not references:
        return float(result.answer.abstained)
    return 0.0 if judgment is None else judgment.correctness


def _counts(judged: Sequence[Judgment], *, of_reference: bool) -> dict[str, int]:
    counts = Counter(
        claim.verdict for judgment in judged for claim in judgment.claims if claim.of_reference == of_reference
    )
    return {verdict.replace(" ", "_"): counts[verdict] for verdict in get_args(Verdict)}
