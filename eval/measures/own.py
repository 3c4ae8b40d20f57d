"""Measures that ir_measures defines but cannot compute here, computes wrongly, or not for every query.

Each is a function of one query: of the measure with its parameters, the grades by document id, and the returned
document ids in order. ``ERR`` and ``nDCG(dcg='exp-log2')`` are gdeval's, which ir_measures runs as a Perl script that
only accepts numeric query ids; ``RBP`` is cwl_eval's; for ``Accuracy`` and ``Judged`` ir_measures divides by zero
where nothing, or nothing irrelevant, was returned. ``Whole`` and ``PSP`` are not among its measures: :func:`registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rag.candidates import Ints
from rag.eval.measures.propensity import psp

__all__ = ["ERR_HIGHEST", "Compute", "computed_here", "registry"]

Compute = Callable[[Any, Mapping[str, int], Sequence[str]], float]
"""Function for the value of a measure for a query, of (measure, grade by document id, ids as returned)."""

ERR_HIGHEST = 4
"""The highest grade of ``ERR``: in gdeval a document with it satisfies with probability 15/16."""


def computed_here(measure: Any) -> Compute | None:
    """The function that computes a parsed measure, if it is one of those in this module."""
    if measure.NAME == "nDCG" and measure["dcg"] != "exp-log2":
        return None
    if measure.NAME == "RBP" and "rel" not in measure.params:
        return None
    return _COMPUTED.get(measure.NAME)


def registry() -> Mapping[str, Any]:
    """The measures of ir_measures by name, with ``Whole`` and ``PSP``, registered there when first asked for."""
    import ir_measures

    measures: Any = ir_measures.measures
    rel = measures.ParamInfo(dtype=int, default=1, desc="minimum grade of a relevant document")
    cutoff = "ranking cutoff threshold"
    own = {
        "Whole": {"cutoff": measures.ParamInfo(dtype=int, required=False, desc=cutoff), "rel": rel},
        "PSP": {
            "cutoff": measures.ParamInfo(dtype=int, required=True, desc=cutoff),
            "rel": rel,
            "a": measures.ParamInfo(dtype=float, default=0.55, desc="exponent of the propensity"),
            "b": measures.ParamInfo(dtype=float, default=1.5, desc="shift of the propensity"),
        },
    }
    for name, parameters in own.items():
        if name not in measures.registry:
            fields = {"NAME": name, "__name__": name, "SUPPORTED_PARAMS": parameters}
            measures.register(type(f"_{name}", (measures.Measure,), fields), name=name)
    known: Mapping[str, Any] = measures.registry
    return known


def _exponential_ndcg(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Normalized discounted cumulative gain of gains ``2^grade - 1`` (Burges et al. 2005)."""
    if measure["judged_only"]:
        ranked = [document for document in ranked if document in grades]
    best = np.sort(np.array([grade for grade in grades.values() if grade > 0], dtype=np.int64))[::-1]
    if not len(best):
        return 0.0
    k = measure.params.get("cutoff")
    highest = int(best[0])
    return float(_gain(_grades(grades, ranked, k), highest) / _gain(best[:k], highest))


def _gain(grades: Ints, highest: int) -> float:
    """Discounted gain in units of ``2^highest``, to keep high grades finite."""
    gains = np.exp2(np.maximum(grades, 0) - float(highest)) - np.exp2(-float(highest))
    return float((gains / np.log2(np.arange(len(grades)) + 2)).sum())


def _err(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Expected reciprocal rank (Chapelle et al. 2009)."""
    gains = np.maximum(_grades(grades, ranked, measure.params.get("cutoff")), 0)
    satisfied = (np.exp2(gains) - 1) / 2.0**ERR_HIGHEST
    not_before = np.concatenate([[1.0], np.cumprod(1 - satisfied)[:-1]]) if len(gains) else satisfied
    return float((satisfied * not_before / (np.arange(len(gains)) + 1)).sum())


def _rbp(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Rank-biased precision (Moffat and Zobel 2008)."""
    relevant = _grades(grades, ranked, measure.params.get("cutoff")) >= measure["rel"]
    return float((1 - measure["p"]) * (relevant * measure["p"] ** np.arange(len(relevant))).sum())


def _accuracy(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Share of pairs of a relevant and an irrelevant returned document that are in order; 1 without an irrelevant one,
    0 without a relevant one.
    """
    relevant = _grades(grades, ranked, measure.params.get("cutoff")) >= measure["rel"]
    others = int((~relevant).sum())
    if not relevant.any():
        return 0.0
    return float(1 - np.cumsum(~relevant)[relevant].mean() / others) if others else 1.0


def _judged(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Share of the returned documents that are judged; 0 when nothing was returned."""
    top = ranked[: measure.params.get("cutoff")]
    return sum(document in grades for document in top) / len(top) if top else 0.0


def _whole(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """1 if all relevant documents were returned, 0 otherwise, and where there is none."""
    needed = {document for document, grade in grades.items() if grade >= measure["rel"]}
    return float(bool(needed) and needed <= set(ranked[: measure.params.get("cutoff")]))


def _n_relevant(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Number of relevant documents, returned or not."""
    return float(sum(grade >= measure["rel"] for grade in grades.values()))


def _counted(measure: Any, grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """1 for every query."""
    return 1.0


def _grades(grades: Mapping[str, int], ranked: Sequence[str], cutoff: int | None) -> Ints:
    """Grades of the returned documents in order, int64 [n]; 0 where there is no judgment."""
    return np.array([grades.get(document, 0) for document in ranked[:cutoff]], dtype=np.int64)


_COMPUTED: dict[str, Compute] = {
    "nDCG": _exponential_ndcg,
    "ERR": _err,
    "RBP": _rbp,
    "Accuracy": _accuracy,
    "Judged": _judged,
    "Whole": _whole,
    "PSP": psp,
    "NumRel": _n_relevant,
    "NumQ": _counted,
}
