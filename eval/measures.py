"""Measures: trec_eval's, through ir_measures and in its spelling, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ConfigError, DataError, did_you_mean
from rag.eval.datasets.base import Qrels
from rag.eval.datasets.qrels import MOST

__all__ = ["DEFAULT_MEASURES", "SET_MEASURES", "Run", "interval", "parse_measures", "per_query"]

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@5")

Run = Mapping[str, Mapping[str, float]]
"""Score by document id by query id."""

_TRIAL = (
    {"q": {"a": 1, "b": 0}, "none": {"a": 0}, "missed": {"a": 1}},
    {"q": {"a": 2.0, "b": 1.0}, "none": {"a": 1.0}},
)
"""Judgements and a run with all that can be odd about a query."""

_RESAMPLES = 10_000

SET_MEASURES = {"SetP", "SetR", "SetF"}
"""Measures of what is returned, whatever its order."""


def parse_measures(names: Sequence[str]) -> list[Any]:
    """Measures by their usual names, such as ``nDCG@10``, ``R@100``, ``RR@10``, ``AP``, ``P@5``, ``AP(rel=2)``.

    Raises:
        ConfigError: An unknown name, a cutoff below 1, or a measure this installation cannot compute.
    """
    import ir_measures

    if not names:
        raise ConfigError("name at least one, such as nDCG@10", parameter="measures")
    found = []
    for name in names:
        try:
            measure = ir_measures.parse_measure(name)
        except (NameError, ValueError, SyntaxError, AssertionError, KeyError, TypeError) as error:
            known = ir_measures.measures.registry
            base = name.partition("@")[0].partition("(")[0]
            hint = did_you_mean(base, known) if base not in known else f": {error}"
            raise ConfigError(f"unknown measure '{name}'{hint}", parameter="measures") from None
        cutoff = measure.params.get("cutoff")
        if cutoff is not None and not (isinstance(cutoff, int) and 1 <= cutoff < 1 << 31):  # trec_eval ends the process
            raise ConfigError(f"measure '{name}': the cutoff must be a whole number from 1 on", parameter="measures")
        if "cutoff" in measure.SUPPORTED_PARAMS and measure.SUPPORTED_PARAMS["cutoff"].required and cutoff is None:
            raise ConfigError(f"measure '{name}': needs a cutoff, such as {name}@10", parameter="measures")
        try:  # what cannot be computed is found now, not after an hour of searching
            values = list(ir_measures.iter_calc([measure], *_TRIAL))
        except Exception as error:  # providers raise what they like
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(f"measure '{name}' cannot be computed here: {reason}", parameter="measures") from None
        if {str(measure)} != {str(value.measure) for value in values}:
            raise ConfigError(f"measure '{name}' has no value for each query", parameter="measures")
        if measure not in found:
            found.append(measure)
    return found


def per_query(measures: Sequence[Any], qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """Value by query id by measure name, for every judged query; one without results has 0.

    A query that has nothing relevant should get nothing: the set measures ``SetP``, ``SetR`` and ``SetF`` count 1 when
    it does, and 0 when anything is returned (as SQuAD 2.0 counts questions without an answer). Measures of rankings
    have no value for it, and count 0.

    Raises:
        DataError: A grade is out of range.
    """
    import ir_measures

    values: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(qrels, 0.0) for measure in measures}
    judged = {query: _bounded(grades) for query, grades in qrels.items() if grades}
    for value in ir_measures.iter_calc(list(measures), judged, run):
        values[str(value.measure)][value.query_id] = float(value.value)
    for measure in measures:
        if measure.NAME in SET_MEASURES:
            least = measure["rel"]
            for query, grades in qrels.items():
                if all(grade < least for grade in grades.values()):
                    values[str(measure)][query] = float(not run.get(query))
    return values


def _bounded(grades: Mapping[str, int]) -> Mapping[str, int]:
    """The grades, as trec_eval can take them: where a query's highest is below -1 it writes where it must not. All of
    its measures treat negative grades alike.

    Raises:
        DataError: A grade so high that it would take hours, or all memory.
    """
    highest = max(grades.values())
    if highest > MOST:
        raise DataError(
            f"the grade {highest} is out of range: trec_eval's measures take time and memory for every level up to the "
            f"highest, which may be {MOST}"
        )
    return dict.fromkeys(grades, -1) if highest < -1 else grades


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
