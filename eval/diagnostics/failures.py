"""Failure modes: the reasons why the headline measure is below its best value, with stage and cost of each.

A relevant document that is not returned is lost at one stage
(:meth:`rag.eval.diagnostics.attribution.Attribution.lost_at`). Removing the losses of the stages one after the other,
from all that is relevant in perfect order, splits the distance to the best possible value into what each of them costs;
the rest is the ranking or, for measures of sets, irrelevant results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rag.eval.datasets.base import Qrels
from rag.eval.diagnostics.attribution import NOT_IN_CORPUS, Attribution, oracle
from rag.eval.measures.values import SET_MEASURES
from rag.eval.metrics import FailureMode, WorstQuery
from rag.types import Query

__all__ = ["failure_modes", "remedy", "summary_of_failures", "words"]

_SHOWN = 5
"""Number of example queries of each mode."""
_CUTS = ("cut_threshold", "cut_budget", "cut_top_k", "cut")
_LEAST = 1e-9
"""Losses below this are rounding errors."""


def failure_modes(
    attribution: Attribution,
    measure: Any,
    qrels: Qrels,
    values: Mapping[str, float],
    cuts: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Failures of each query that has any, by query id.

    Each entry has ``mode``: ``not_in_corpus``; ``missed`` by the first stage; ``cut_threshold``, ``cut_budget`` or
    ``cut_top_k`` by a later one, ``cut`` where the setting is unknown; ``low``: returned, but below the ranks that the
    relevant documents have in a perfect ranking, or below the measure's cutoff; or, for measures of sets,
    ``unwanted``: irrelevant documents are returned. Further keys are the ``stage`` to blame or None, the number of
    relevant ``documents``, and ``loss``: the decrease of the measure. The losses of a query and its value add up to the
    best possible value.

    Args:
        attribution: The attribution of all queries.
        measure: The parsed headline measure.
        qrels: Judgments of the queries.
        values: Value of the headline measure by query id.
        cuts: Mode of each cut document, by (query id, document id); see :class:`rag.eval.diagnostics.cuts.Cuts`.
    """
    lost, ranks = attribution.lost_at(), attribution.ranks()
    left, reasons = attribution.keys, cuts or {}
    best = oracle(measure, qrels, left)
    by_query: dict[str, list[dict[str, Any]]] = {}

    def add(mode: str, stage: str | None, gone: Sequence[tuple[str, str]], after: Mapping[str, float]) -> None:
        documents: dict[str, int] = {}
        for query, _ in gone:
            documents[query] = documents.get(query, 0) + 1
        for query in best:
            loss = max(best[query] - after[query], 0.0)
            if query in documents or loss > _LEAST:
                entry = {"mode": mode, "stage": stage, "documents": documents.get(query, 0), "loss": loss}
                by_query.setdefault(query, []).append(entry)

    for index, blamed in enumerate([NOT_IN_CORPUS, *attribution.stages]):
        modes = ("not_in_corpus",) if index == 0 else ("missed",) if index == 1 else _CUTS
        for mode in modes:
            gone = [
                key
                for key in left
                if lost.get(key) == blamed and (mode not in _CUTS or reasons.get(key, "cut") == mode)
            ]
            if gone:
                taken = set(gone)
                left = [key for key in left if key not in taken]
                after = oracle(measure, qrels, left)
                add(mode, blamed if index else None, gone, after)
                best = after
    if measure.NAME in SET_MEASURES:
        add("unwanted", None, [], values)
        return by_query
    places: dict[str, int] = {}
    for query, _ in left:
        places[query] = places.get(query, 0) + 1
    cutoff = measure.params.get("cutoff") or len(ranks)
    low = [key for key in left if (ranks[key][-1] or 0) > min(places[key[0]], cutoff)]
    add("low", None, low, values)
    return by_query


def summary_of_failures(
    faults: Mapping[str, Sequence[Mapping[str, Any]]],
    queries: Sequence[Query],
    relevant: int,
    setting: Callable[[str, str | None], str | None] = lambda mode, stage: None,
) -> list[FailureMode]:
    """Sum up the failure modes, the most expensive first.

    Args:
        faults: Failures by query id, from :func:`failure_modes`.
        queries: All queries that were searched.
        relevant: Number of relevant documents of all queries.
        setting: Function from a mode and its stage to the setting to change.
    """
    texts = {query.id: query.text for query in queries}
    modes: dict[tuple[str, str | None], list[tuple[str, Mapping[str, Any]]]] = {}
    for query, own in faults.items():
        for fault in own:
            modes.setdefault((fault["mode"], fault["stage"]), []).append((query, fault))
    summary = []
    for (mode, stage), entries in modes.items():
        documents = sum(fault["documents"] for _, fault in entries)
        worst = sorted(entries, key=lambda entry: -entry[1]["loss"])[:_SHOWN]
        summary.append(
            FailureMode(
                mode=mode,
                stage=stage,
                setting=setting(mode, stage),
                documents=documents,
                share=documents / relevant if relevant else 0.0,
                queries=len(entries),
                loss=sum(fault["loss"] for _, fault in entries) / len(queries),
                worst=[
                    WorstQuery(query_id=query, query=texts[query], documents=fault["documents"], loss=fault["loss"])
                    for query, fault in worst
                    if fault["loss"] > _LEAST
                ],
            )
        )
    return sorted(summary, key=lambda failure: -failure.loss)


def words(mode: str, stage: str | None) -> str:
    """A mode in words."""
    return {
        "not_in_corpus": NOT_IN_CORPUS,
        "missed": f"missed by the first stage, {stage}",
        "cut": f"cut by {stage}",
        "cut_threshold": f"cut by the threshold of {stage}",
        "cut_budget": f"cut by the budget of {stage}",
        "cut_top_k": f"cut by top_k of {stage}",
        "low": "found but ranked low",
        "unwanted": "returned with what is not relevant",
    }.get(mode, mode)


def remedy(mode: str) -> str:
    """What to try against a mode that no single setting decides; empty where one does."""
    return {
        "not_in_corpus": "see whether these documents were read, and whether their ids are those of the judgments",
        "missed": "ask a second list beside it (hybrid), or feedback",
        "low": "rag tune --auto tries other weights, feedback and what judged questions teach; rerank and cur read the "
        "best again",
        "unwanted": "a filter such as cosine_adapter, which removes what is not relevant",
    }.get(mode, "")
