"""Comparisons of two runs on one measure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rag.eval.comparison.verdicts import Verdict, verdict

__all__ = ["Comparison", "Pair", "short", "signed"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A run compared with a baseline on the same queries.

    Args:
        n_queries: Number of queries that both have.
        difference: Mean over the queries of run minus baseline.
        ci95: Bootstrap interval of that mean; None with one query, or where all differences are equal.
        p_value: Two-sided p-value of the paired test.
        effect_size: Mean difference in standard deviations of the differences.
        wins: Number of queries on which the run is better.
        losses: Number of queries on which the run is worse.
    """

    n_queries: int
    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    effect_size: float
    wins: int
    losses: int

    @property
    def verdict(self) -> Verdict:
        """The verdict, by one rule for comparisons and sweeps."""
        return self._verdict(self.p_value)

    def _verdict(self, p_value: float, tests: int = 1) -> Verdict:
        return verdict(
            self.difference,
            p_value,
            effect_size=self.effect_size,
            n_queries=self.n_queries,
            tests=tests,
            differ=bool(self.wins or self.losses),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields and the verdict, as JSON-compatible objects."""
        said = self.verdict
        finite = self.effect_size if math.isfinite(self.effect_size) else None
        return asdict(self) | {"effect_size": finite, "verdict": said.kind, "queries_to_settle": said.queries}


@dataclass(frozen=True, kw_only=True)
class Pair(Comparison):
    """The comparison of two named runs on one measure, among several that are corrected for.

    Args:
        run: Name of the run.
        baseline: Name of the run it is compared with.
        measure: Name of the measure.
        mean: Mean of the run.
        baseline_mean: Mean of the baseline.
        p_corrected: The p-value corrected for the number of pairs compared by this measure.
        detectable: The smallest difference that this many queries would show 4 times in 5; None with one query.
        ties: Number of queries on which both are equal.
        adjusted: Whether a correction was made; without it ``p_corrected`` is ``p_value``.
        tests: Number of pairs compared by this measure.
    """

    run: str
    baseline: str
    measure: str
    mean: float
    baseline_mean: float
    p_corrected: float
    detectable: float | None
    ties: int
    adjusted: bool = True
    tests: int = 1

    @property
    def verdict(self) -> Verdict:
        """The verdict, on the corrected p-value."""
        return self._verdict(self.p_corrected, self.tests if self.adjusted else 1)

    @property
    def significant(self) -> bool:
        """Whether the runs are shown to differ."""
        return self.verdict.proven

    @property
    def sentence(self) -> str:
        """The verdict with its numbers, in one sentence."""
        said = self.verdict
        if said.kind == "alike":
            return f"{self.run} and {self.baseline} are alike in {self.measure} on every query."
        size = short(abs(self.difference))
        better, worse = (self.run, self.baseline) if self.difference > 0 else (self.baseline, self.run)
        if said.proven:
            claim = f"{better} beats {worse} on {self.measure} by {size}"
        elif said.direction:
            claim = f"{better} is probably better than {worse} on {self.measure}, not proven: +{size}"
        else:
            both = f"{self.run} and {self.baseline}"
            claim = f"{both} cannot be told apart on {self.measure}: {signed(self.difference)}"
        p = "p < .001" if self.p_corrected < 0.001 else f"p = {short(self.p_corrected)}"
        power = "" if self.detectable is None else f"{self.n_queries} queries can detect {short(self.detectable)}"
        facts = [p + (" corrected" if self.adjusted else ""), power, said.settled_by]
        bounds = self._bounds(flipped=bool(said.direction) and self.difference < 0)
        return f"{claim}{bounds}, {'; '.join(fact for fact in facts if fact)}."

    def _bounds(self, flipped: bool) -> str:
        if self.ci95 is None:
            return " (one query: no interval)" if self.n_queries == 1 else ""
        low, high = (-self.ci95[1], -self.ci95[0]) if flipped else self.ci95
        return f" [{signed(low)}, {signed(high)}]"

    def to_dict(self) -> dict[str, Any]:
        """All fields, the verdict and the sentence, as JSON-compatible objects."""
        return super().to_dict() | {"sentence": self.sentence}


def short(value: float) -> str:
    """Format a value with three decimals and no 0 before the point, as p-values are written."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def signed(value: float) -> str:
    """Format a value like :func:`short`, with its sign."""
    return ("+" if value >= 0 else "-") + short(abs(value))
