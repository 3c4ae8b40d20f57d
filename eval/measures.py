"""Measures: trec_eval's, through ir_measures and in its spelling, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.arguments import refuses_unknown
from rag.errors import ConfigError, DataError, did_you_mean
from rag.eval.datasets.base import Qrels
from rag.eval.datasets.qrels import MOST
from rag.eval.own_measures import ERR_HIGHEST, computed_here

__all__ = [
    "DEFAULT_MEASURES",
    "SET_MEASURES",
    "Run",
    "check_judgements",
    "interval",
    "parse_measures",
    "per_query",
    "short_lists",
]

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@5")

Run = Mapping[str, Mapping[str, float]]
"""Score by document id by query id."""

_TRIAL = (
    {
        "q": {"a": 1, "b": 0},
        "none": {"a": 0},
        "missed": {"a": 1},
        "all": {"a": 2, "b": 1},
        "empty": {"a": 1},
        "bare": {},
    },
    {"q": {"a": 2.0, "b": 1.0}, "no": {"a": 1.0}, "all": {"b": 2.0, "a": 1.0}, "empty": {}, "bare": {"a": 1.0}},
)
"""Judgements and a run with all that can be odd about a query."""

_RESAMPLES = 10_000

SET_MEASURES = {"SetP", "SetR", "SetF"}
"""Measures of what is returned, whatever its order."""

_OF_SUBTOPICS = {"ERR_IA", "nERR_IA", "alpha_DCG", "alpha_nDCG", "NRBP", "nNRBP", "AP_IA", "P_IA", "StRecall"}
"""Measures of diversity: their judgements say which subtopic of a query a document is about."""

_NO_DOCUMENT = ""
"""Stands among the judgements of a query that has none: no document has this id."""


@refuses_unknown
def parse_measures(names: Sequence[str]) -> list[Any]:
    """Measures by their usual names, such as ``nDCG@10``, ``R@100``, ``RR@10``, ``AP``, ``P@5``, ``AP(rel=2)``.

    Every measure that comes back can be computed for any query; all else is refused here, before there is any work.

    Raises:
        ConfigError: An unknown name, a parameter out of range, or a measure this installation cannot compute.
    """
    if not names:
        raise ConfigError("name at least one, such as nDCG@10", parameter="measures")
    found = []
    for name in names:
        measure = _parsed(name)
        try:  # what cannot be computed is found now, not after an hour of searching
            per_query([measure], *_TRIAL)
        except Exception as error:  # providers raise what they like
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(f"measure '{name}' cannot be computed here: {reason}", parameter="measures") from None
        if measure not in found:
            found.append(measure)
    return found


def _parsed(name: str) -> Any:
    """A measure whose parameters are in range and which something here computes."""
    import ir_measures

    known = ir_measures.measures.registry
    try:
        measure = ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError, AssertionError, KeyError, TypeError) as error:
        base = name.partition("@")[0].partition("(")[0]
        hint = did_you_mean(base, known) if base not in known else f": {error}"
        raise ConfigError(f"unknown measure '{name}'{hint}", parameter="measures") from None
    if fault := _fault(measure):
        raise ConfigError(f"measure '{name}': {fault}", parameter="measures")
    whole = {key: float(value) for key, value in measure.params.items() if type(value) is int and _real(measure, key)}
    measure = measure(**whole)
    if computed_here(measure) is None and (reason := _missing(measure)):
        raise ConfigError(f"measure '{name}' cannot be computed here: {reason}", parameter="measures")
    return measure


def _real(measure: Any, key: str) -> bool:
    return measure.SUPPORTED_PARAMS[key].dtype is float


def _fault(measure: Any) -> str:
    """What is wrong with the parameters of a measure, or nothing."""
    supported, given = measure.SUPPORTED_PARAMS, measure.params
    for key in given:
        if key not in supported:
            return f"has no parameter '{key}'{did_you_mean(key, supported)}"
    for key, info in supported.items():
        if key not in given:
            if not info.required:
                continue
            example = f"{measure}@{'0.5' if key == 'recall' else '10'}" if key == measure.AT_PARAM else f"{key}=1"
            return f"needs a {key}, such as {example}"
        value, choices = given[key], info.choices
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == "cutoff":
            if type(value) is not int or not 1 <= value < 1 << 31:  # trec_eval ends the process
                return "the cutoff must be a whole number from 1 on"
        elif key == "rel":
            if type(value) is not int or not 1 <= value <= MOST:
                return f"rel must be a whole number from 1 to {MOST}, got {value!r}"
        elif key == "recall":
            if not number or not 0 <= value <= 1 or round(value, 2) != value:
                return f"the recall must be from 0 to 1 with at most two decimals, as trec_eval has it, got {value!r}"
        elif key == "p":
            if not number or not 0 < value < 1:
                return f"p must be above 0 and below 1, got {value!r}"
        elif key == "gains":
            numbers = isinstance(value, dict) and all(type(one) is int for pair in value.items() for one in pair)
            if not numbers or not all(0 <= gain <= MOST for gain in value.values()):
                return f"gains must be whole numbers by grade, from 0 to {MOST}, got {value!r}"
            if given.get("dcg") == "exp-log2":
                return "gains and dcg='exp-log2' say the same thing in two ways: give one of them"
        elif info.dtype is float:
            if not number or value < 0:
                return f"{key} must be a number from 0 on, got {value!r}"
        elif type(value) is not info.dtype:
            return f"{key} must be of type {info.dtype.__name__}, got {value!r}"
        elif isinstance(choices, list) and value not in choices:
            return f"{key} must be one of {', '.join(map(repr, choices))}, got {value!r}"
    return ""


def _missing(measure: Any) -> str:
    """Why ir_measures cannot compute a measure here; nothing when it can."""
    import ir_measures

    if measure.NAME in _OF_SUBTOPICS:
        return "it measures diversity, and judgements here do not say which subtopic a document is about"
    offered = [one for one in ir_measures.DefaultPipeline.providers if one.supports(measure) and one.NAME != "gdeval"]
    if any(one.is_available() for one in offered):
        return ""
    if measure.NAME == "RBP":
        return "it needs the grade from which a document is relevant, such as RBP(rel=1)"
    if offered:
        packages = " or ".join(one.NAME for one in offered)
        return f"it needs the package {packages} ({offered[0].install_instructions()})"
    return "nothing in ir_measures computes it with these parameters"


def check_judgements(measures: Sequence[Any], qrels: Qrels) -> None:
    """Refuse judgements that a measure cannot take, before there is any work.

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
    """Value by query id by measure name, for every judged query; one without results has 0.

    A query that has nothing relevant should get nothing: the set measures ``SetP``, ``SetR`` and ``SetF`` count 1 when
    it does, and 0 when anything is returned (as SQuAD 2.0 counts questions without an answer). Measures of rankings
    have no value for it, and count 0.

    Raises:
        DataError: A grade is out of range.
    """
    import ir_measures

    check_judgements(measures, qrels)
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
    """Measures that are computed in one pass. One with parameters has its own: ir_measures puts several into one call
    of trec_eval, where some would be computed with the parameters of others (``NumRet`` of judged documents only).
    """
    plain = [measure for measure in measures if measure.params.keys() <= {"cutoff"}]
    alone = [[measure] for measure in measures if not measure.params.keys() <= {"cutoff"}]
    return [plain, *alone] if plain else alone


def _bounded(grades: Mapping[str, int]) -> Mapping[str, int]:
    """The grades, as trec_eval can take them: where a query's highest is below -1 it writes where it must not, and all
    of its measures treat negative grades alike; where there is none at all, it leaves the query out.
    """
    if not grades:
        return {_NO_DOCUMENT: 0}
    return dict.fromkeys(grades, -1) if max(grades.values()) < -1 else grades


def interval(
    values: npt.NDArray[np.float64], *, seed: int = 0, level: float = 0.95
) -> list[tuple[float, float]] | None:
    """Percentile bootstrap interval of the mean over queries.

    Args:
        values: [n_queries, n_measures]; queries are resampled whole, so all measures see the same samples.
        seed: Of the resampling.
        level: Confidence.

    Returns:
        (low, high) of each measure; None with fewer than two queries.
    """
    n = len(values)
    if n < 2:
        return None
    generator = np.random.default_rng(seed)
    resamples = max(1_000, min(_RESAMPLES, 20_000_000 // n))  # with many queries fewer do, and each costs more
    step = max(1, 2_000_000 // n)
    means = np.concatenate(
        [
            generator.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - first)) @ values / n
            for first in range(0, resamples, step)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def short_lists(measures: Sequence[Any], run: Run, n_documents: int | None = None) -> list[str]:
    """A note where a measure looks further down than any list goes, as R@100 does of lists of ten.

    Args:
        measures: Parsed.
        run: Score by document id by query id.
        n_documents: Of the corpus, which bounds every list; None where that is not known.
    """
    longest = max(map(len, run.values()), default=0)
    beyond = [str(measure) for measure in measures if longest < (measure.params.get("cutoff") or 0)]
    if not longest or not beyond or longest == n_documents:
        return []
    return [
        f"the longest list has {longest} {'document' if longest == 1 else 'documents'}, so {', '.join(beyond)} "
        f"{'looks' if len(beyond) == 1 else 'look'} no further than that: what is below was never returned"
    ]
