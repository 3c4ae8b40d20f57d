"""Values of measures by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag.arguments import refuses_unknown
from rag.errors import DataError
from rag.eval.datasets.base import Qrels
from rag.eval.datasets.qrels import MOST
from rag.eval.measures.own import ERR_HIGHEST, computed_here

__all__ = ["SET_MEASURES", "Run", "check_qrels", "per_query", "short_lists"]

Run = Mapping[str, Mapping[str, float]]
"""Score by document id by query id."""

SET_MEASURES = {"SetP", "SetR", "SetF"}
"""Measures of the returned set, regardless of its order."""

_NO_DOCUMENT = ""
"""Placeholder in the judgments of queries without any; no document has this id."""


def check_qrels(measures: Sequence[Any], qrels: Qrels) -> None:
    """Refuse judgments that a measure cannot process, before any work.

    Raises:
        DataError: A grade is out of range.
    """
    highest = max((grade for grades in qrels.values() for grade in grades.values()), default=0)
    if highest > MOST:
        raise DataError(
            f"the grade {highest} is out of range: trec_eval's measures take time and memory for every level up to the "
            f"highest, which may be {MOST}"
        )
    if highest > ERR_HIGHEST and any(measure.NAME == "ERR" for measure in measures):
        raise DataError(f"the grade {highest} is out of range for ERR, which takes grades up to {ERR_HIGHEST}")


@refuses_unknown
def per_query(measures: Sequence[Any], qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """Value by query id by measure name, for every judged query; queries without results have 0.

    The correct result for a query with nothing relevant is empty: the set measures ``SetP``, ``SetR`` and ``SetF`` are
    1 for it, and 0 when anything is returned (as in SQuAD 2.0 for questions without an answer). Ranking measures are
    undefined for such queries, and count 0.

    Raises:
        DataError: A grade is out of range.
    """
    import ir_measures

    check_qrels(measures, qrels)
    values: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(qrels, 0.0) for measure in measures}
    here = [(measure, compute) for measure in measures if (compute := computed_here(measure))]
    if here:
        for query, grades in qrels.items():
            scores = run.get(query, {})
            ranked = sorted(scores, key=lambda document: (scores[document], document), reverse=True)
            for measure, compute in here:
                values[str(measure)][query] = compute(measure, grades, ranked)
    returned = {query: scores for query, scores in run.items() if scores and query in qrels}
    judged = {query: _bounded(qrels[query]) for query in returned}
    for group in _groups([measure for measure in measures if computed_here(measure) is None]) if returned else ():
        for value in ir_measures.iter_calc(group, judged, returned):
            values[str(value.measure)][value.query_id] = float(value.value)
    for measure in measures:
        if measure.NAME in SET_MEASURES:
            least = measure["rel"]
            for query, grades in qrels.items():
                if all(grade < least for grade in grades.values()):
                    values[str(measure)][query] = float(not run.get(query))
    return values


def _groups(measures: Sequence[Any]) -> list[list[Any]]:
    """Group measures that can be computed in one pass. Each measure with parameters has its own pass: ir_measures
    merges them into one call of trec_eval, where some would get the parameters of others (``NumRet`` of judged
    documents only).
    """
    plain = [measure for measure in measures if measure.params.keys() <= {"cutoff"}]
    alone = [[measure] for measure in measures if not measure.params.keys() <= {"cutoff"}]
    return [plain, *alone] if plain else alone


def _bounded(grades: Mapping[str, int]) -> Mapping[str, int]:
    """The grades, adapted to trec_eval: if a query's highest grade is below -1 it writes out of bounds, and it treats
    all negative grades alike; a query without grades would be left out.
    """
    if not grades:
        return {_NO_DOCUMENT: 0}
    return dict.fromkeys(grades, -1) if max(grades.values()) < -1 else grades


def short_lists(measures: Sequence[Any], run: Run, n_documents: int | None = None) -> list[str]:
    """Remark on measures whose cutoff is below the end of every list, such as R@100 with lists of ten.

    Args:
        measures: The parsed measures.
        run: Scores by document id by query id.
        n_documents: Size of the corpus, which bounds every list; None if unknown.
    """
    longest = max(map(len, run.values()), default=0)
    beyond = [str(measure) for measure in measures if longest < (measure.params.get("cutoff") or 0)]
    if not longest or not beyond or longest == n_documents:
        return []
    return [
        f"the longest list has {longest} {'document' if longest == 1 else 'documents'}, so {', '.join(beyond)} "
        f"{'looks' if len(beyond) == 1 else 'look'} no further than that: what is below was never returned"
    ]
