"""Verdicts on paired comparisons, and the number of queries that would settle them.

`rag compare` and `rag tune` use the same rule on the terminal, in HTML, Markdown and JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rag.arguments import refuses_unknown

__all__ = ["LEVEL", "SUGGESTIVE", "Kind", "Verdict", "queries_to_settle", "rounded", "verdict"]

Kind = Literal["better", "worse", "probably_better", "probably_worse", "no_sign", "alike"]

LEVEL = 0.05
"""P-values below this level prove a difference."""
SUGGESTIVE = 0.2
"""P-values below this level suggest a difference without proving it: if both signs were equally likely before, the
observed sign is right 9 times in 10.
"""
POWER = 0.8
"""Probability that the queries needed to settle a difference do show it."""

_FEWEST = 6
"""Fewest queries for a verdict: with fewer, even the rarest sign assignment (2 of 2^5) has more than 5 %."""
_WORDS: dict[Kind, str] = {
    "better": "better",
    "worse": "worse",
    "probably_better": "probably better, not proven",
    "probably_worse": "probably worse, not proven",
    "no_sign": "cannot be told apart",
    "alike": "alike on every query",
}


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run compared with another.

    Args:
        kind: ``better`` or ``worse`` (the corrected p-value is below .05), ``probably_better`` or ``probably_worse``
            (below .2: not proven), ``no_sign``, or ``alike``: the same value on every query.
        queries: Approximate number of queries that would settle a difference of this size 4 times in 5; None where it
            is settled, where there is no difference, or where more than a million would be needed.
    """

    kind: Kind
    queries: int | None = None

    @property
    def words(self) -> str:
        """The verdict in words."""
        return _WORDS[self.kind]

    @property
    def proven(self) -> bool:
        """Whether the runs are shown to differ."""
        return self.kind in ("better", "worse")

    @property
    def direction(self) -> int:
        """1 where the run is better, proven or probably, -1 where it is worse, else 0."""
        return {"better": 1, "probably_better": 1, "worse": -1, "probably_worse": -1}.get(self.kind, 0)

    @property
    def settled_by(self) -> str:
        """A clause with the number of queries that would settle the verdict; empty where nothing is to settle."""
        return "" if self.queries is None else f"about {rounded(self.queries):,} queries like these would settle it"


@refuses_unknown
def verdict(
    difference: float, p_value: float, *, effect_size: float, n_queries: int, tests: int = 1, differ: bool = True
) -> Verdict:
    """The verdict on a mean difference.

    Args:
        difference: Mean over the queries of run minus baseline; positive is better.
        p_value: Two-sided p-value of a paired test; corrected, where several pairs are compared.
        effect_size: The mean difference in standard deviations of the differences.
        n_queries: Number of queries.
        tests: Number of pairs for which ``p_value`` was corrected.
        differ: Whether the runs differ on any query.

    Example:
        >>> verdict(0.02, 0.125, effect_size=0.9, n_queries=4)
        Verdict(kind='probably_better', queries=10)
    """
    if not differ:
        return Verdict("alike")
    if p_value < LEVEL and difference:
        return Verdict("better" if difference > 0 else "worse")
    queries = queries_to_settle(effect_size, n_queries, level=LEVEL / tests)
    if p_value < SUGGESTIVE and difference:
        return Verdict("probably_better" if difference > 0 else "probably_worse", queries)
    return Verdict("no_sign", queries)


def queries_to_settle(effect_size: float, n_queries: int, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """The number of queries that a paired test needs to show an effect of this size with this power.

    By the normal approximation, ``((z_{1 - level / 2} + z_power) / effect_size)^2`` (Sakai, Laboratory Experiments in
    Information Retrieval, 2018, chapter 6); at least one more than ``n_queries``, which have not shown it.

    Args:
        effect_size: Mean difference in standard deviations of the differences.
        n_queries: Number of queries that have not shown it.
        level: Significance level of the test.
        power: Probability that the effect is shown.

    Returns:
        None without an effect, with one query (its variance is unknown), and for more than a million queries.
    """
    from scipy.stats import norm

    if not effect_size or n_queries < 2:
        return None
    factor = float(norm.ppf(1 - level / 2) + norm.ppf(power))
    needed = 0.0 if math.isinf(effect_size) else (factor / effect_size) ** 2
    return max(math.ceil(needed), _FEWEST, n_queries + 1) if needed <= 1e6 else None


def rounded(n: int) -> int:
    """Round up to two significant digits, the precision of the estimate."""
    unit: int = 10 ** max(len(str(n)) - 2, 0)
    return math.ceil(n / unit) * unit
