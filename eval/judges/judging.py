"""Having the answers of a run judged, and how far those who judge agree."""

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
    """Name of the stage that writes a pipeline's answers; None when none does.

    Raises:
        ConfigError: None does, and there is a judge; there are labels, and nobody who judges; or one of these is none.
    """
    steps = zip(pipeline.step_names[1:], pipeline.stages, strict=True)
    writing = next((name for name, stage in steps if stage.writes_answers), None)
    for one in judges:
        if not isinstance(one, Judge):
            raise ConfigError(f"must be a judge, such as eval.ClaimJudge(model=...), got {one!r}", parameter="judge")
    if judges and writing is None:
        raise ConfigError(
            "there is nothing to judge: the pipeline has no stage that writes answers, such as generate",
            parameter="judge",
        )
    if labels is not None and not judges:
        raise ConfigError("labels are compared with a judge's: give a judge too", parameter="labels")
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
    """Have the answers of an evaluation judged.

    An answer that failed or abstained is not shown to a judge: it has no faithfulness; its correctness is 0 where there
    is a reference, and where there is known to be no answer, 1 for abstaining and 0 for anything else.

    Args:
        evaluation: Of a pipeline that writes answers.
        judges: One or several. A judge that is listed again judges again, so that its agreement with itself shows.
        labels: Whether an answer is faithful by query id, as people see it; agreement of each judge with them is
            reported.
        seed: Of the intervals.
        store: Where calls are kept, by exact prompt and model.
        progress: Shows how far it is.

    Returns:
        The evaluation with ``judges`` and ``agreement`` in ``answers`` of its metrics; see ``docs/run-folder.md``.

    Raises:
        ConfigError: The pipeline writes no answers.
        ModelError: A judge's model cannot work at all.
    """
    check_judges(evaluation.pipeline, judges, labels)
    record = evaluation.record
    entries: list[dict[str, Any]] = []
    values: dict[str, Mapping[str, float | None]] = dict(evaluation.answers)
    judged: dict[str, Mapping[str, Judgment]] = {}
    faithful: dict[str, Mapping[str, bool]] = {}
    said = [one for one in evaluation.results if _says_something(one)]
    qrels = evaluation.split.qrels
    due = {one.query.id: references_of(one.query, qrels.get(one.query.id, {})) for one in evaluation.results}
    cases = [_case(one, due[one.query.id]) for one in said]
    before: Counter[str] = Counter()
    calls: list[Calls] = []
    for number, judge in enumerate(judges, 1):
        name = judge.type if number == 1 else f"{judge.type} {number}"
        repetition = before[judge.fingerprint]
        before[judge.fingerprint] += 1
        given = judge.judge(cases, store=store, progress=progress, repetition=repetition)
        of = {result.query.id: one for result, one in zip(said, given.judged, strict=True)}
        measures = {
            "faithfulness": {one.query.id: of.get(one.query.id, Judgment()).faithfulness for one in evaluation.results},
            "correctness": {
                one.query.id: _correctness(one, due[one.query.id], of.get(one.query.id)) for one in evaluation.results
            },
        }
        calls += [replace(one, stage=f"judge {name}") for one in given.calls]
        problems = Counter(one.problem for one in given.judged if one.problem)
        entries.append(
            {
                "name": name,
                "judge": repr(judge),
                "repetition": repetition,
                "n_judged": len(cases),
                "measures": means_of(measures, seed=seed),
                "claims": _counts(given.judged, of_reference=False),
                "reference_claims": _counts(given.judged, of_reference=True),
                "problems": dict(problems.most_common(10)),
                "n_problems": problems.total(),
                "costs": asdict(given.costs),
            }
        )
        values |= {f"{what} ({name})": some for what, some in measures.items()}
        judged[name] = of
        shares = {id: share for id, share in measures["faithfulness"].items() if share is not None}
        faithful[name] = {id: share >= judge.passing for id, share in shares.items()}
    who = faithful | ({} if labels is None else {"labels": labels})
    answers = {
        **(record.answers or {}),
        "judges": entries,
        "agreement": [
            {"between": [one, other], **agreement(who[one], who[other], seed=seed)}
            for one, other in combinations(who, 2)
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
    counts = Counter(claim.verdict for one in judged for claim in one.claims if claim.of_reference == of_reference)
    return {verdict.replace(" ", "_"): counts[verdict] for verdict in get_args(Verdict)}
