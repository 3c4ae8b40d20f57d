"""What tuning has brought on questions that nothing was chosen by, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Win"]


@dataclass(frozen=True)
class Win:
    """What tuning has brought on questions that nothing was chosen by.

    Args:
        measure: The objective.
        baseline: Its mean on the test questions, of the pipeline as it was given.
        tuned: The same of the choice.
        difference: Of the two.
        ci95: Bootstrap interval of the difference, paired by question.
        p_value: Of the paired randomization test.
        by: The changes, in the order they were made.
        latency_ms: Median time of a question asked alone: before and after.
        tried: Parameters that had their turn.
        first_s: Seconds that measuring the pipeline as it was given took.
        remembered: Where the choice learns from judgments: mean difference and number of the test questions that share
            a relevant document with training, and of those that do not; else empty.
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
        """In words."""
        before, after = self.latency_ms
        if not self.tried:
            return (
                f"The budget was too small to try anything: measuring the pipeline itself took {self.first_s:.0f} s "
                f"({self.measure} {self.baseline:.4f} on the test questions)."
            )
        if not self.by:
            return (
                f"Nothing was found that surely helps: the pipeline stays as it is ({self.measure} {self.baseline:.4f} "
                f"on the test questions, {before:.1f} ms a question)."
            )
        bounds = f", 95 % {self.ci95[0]:+.4f} to {self.ci95[1]:+.4f}" if self.ci95 else ""
        p = f"p {self.p_value:.4f}" if self.p_value >= 0.0001 else "p < .0001"
        verb = "won" if self.difference > 0 else "lost" if self.difference < 0 else "unchanged"
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
        others = f"{not_there:+.4f} on the {n_not} that do not" if n_not else "no test question shares none"
        return f" It learns from judgments: {shared}, {others}."
