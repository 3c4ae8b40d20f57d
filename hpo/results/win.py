"""The gain of tuning on unseen questions, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from rag.eval.comparison.verdicts import LEVEL

__all__ = ["Win"]


@dataclass(frozen=True)
class Win:
    """The gain of tuning on questions that played no part in the choice.

    Args:
        measure: The objective.
        baseline: Mean of the original pipeline on the test questions.
        tuned: Mean of the choice.
        difference: Difference of both.
        ci95: Bootstrap interval of the difference, paired by question.
        p_value: P-value of the paired randomization test.
        by: The changes, in the order made.
        latency_ms: Median single-query latency, before and after.
        tried: Parameters that were tried.
        first_s: Seconds taken to measure the original pipeline.
        remembered: If the choice learns from judgments: mean difference and number of the test questions that share a
            relevant document with training, and of the others; otherwise empty.
    """

    measure: str
    baseline: float
    tuned: float
    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    by: tuple[str, ...]
    latency_ms: tuple[float, float]
    tried: int
    first_s: float
    remembered: tuple[tuple[float, int], ...] = ()

    @property
    def sentence(self) -> str:
        """The gain in words."""
        before, after = self.latency_ms
        if not self.tried:
            return (
                f"The budget was too small to try anything: measuring the pipeline itself took {self.first_s:.0f} s "
                f"({self.measure} {self.baseline:.4f} on the test questions)."
            )
        if not self.by:
            return (
                f"No change is sure to help: the pipeline stays as it is ({self.measure} {self.baseline:.4f} "
                f"on the test questions, {before:.1f} ms a question)."
            )
        bounds = f", 95 % {self.ci95[0]:+.4f} to {self.ci95[1]:+.4f}" if self.ci95 else ""
        p = f"p {self.p_value:.4f}" if self.p_value >= 0.0001 else "p < .0001"
        if not self.difference:
            verb = "unchanged"
        elif self.p_value >= LEVEL:
            verb = "not proven:"
        else:
            verb = "won" if self.difference > 0 else "lost"
        return (
            f"{self.measure} {self.baseline:.4f} -> {self.tuned:.4f} on the test questions "
            f"({verb} {self.difference:+.4f}{bounds}, {p}) by {', '.join(self.by)}; "
            f"{before:.1f} -> {after:.1f} ms a question.{self._groups}"
        )

    @property
    def _groups(self) -> str:
        if not self.remembered:
            return ""
        (there, n_there), (not_there, n_not) = self.remembered
        shared = f"{there:+.4f} on the {n_there} questions that share a relevant document with training"
        others = f"{not_there:+.4f} on the {n_not} that do not" if n_not else "every test question shares one"
        return f" It learns from judgments: {shared}, {others}."
