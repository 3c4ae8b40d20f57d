"""Requests to language models, and those that failed, counted.

Callers record both in the :class:`~rag.costs.Ledger`. Evaluation, indexing and sweeps report failures and refuse a
result with too many of them: a pipeline with half of its summaries missing is another pipeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag.remarks import MAX_EXAMPLES, Remark

__all__ = ["MAX_FAILED", "Calls", "remarks_on", "too_many_failed"]

MAX_FAILED = 0.05
"""Share of texts that may be missing: differences between pipelines that are worth a report are of that size."""

_REASONS = 3
"""Reasons named in a message."""


@dataclass
class Calls:
    """Requests to one model in one stage.

    Args:
        model: The summarizer in words, such as ``chat_model 'gpt-5-mini'``.
        stage: The stage that sent the requests.
        asked: Number of texts, including those in the store.
        failed: Number of texts without a result after all retries.
        problems: Reasons of the failures, counted.
        examples: Ids of the first failures.
        is_model: Whether a model is called; False for texts that are only looked up, which have no limit.
    """

    model: str
    stage: str
    asked: int = 0
    failed: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    is_model: bool = True

    @property
    def share(self) -> float:
        """The share that failed, in [0, 1]."""
        return self.failed / max(self.asked, 1)

    def add(self, asked: int, problems: Mapping[str, str]) -> None:
        """Count more texts, with the problems of failed ones by id."""
        self.asked += asked
        self.failed += len(problems)
        self.problems.update(problems.values())
        self.examples += list(problems)[: MAX_EXAMPLES - len(self.examples)]

    def join(self, other: Calls) -> None:
        """Add the counts of another record."""
        self.asked += other.asked
        self.failed += other.failed
        self.problems.update(other.problems)
        self.examples += other.examples[: MAX_EXAMPLES - len(self.examples)]

    def as_dict(self) -> dict[str, Any]:
        """The record as written to ``metrics.json``."""
        return {
            "model": self.model,
            "stage": self.stage,
            "asked": self.asked,
            "failed": self.failed,
            "problems": dict(self.problems.most_common(MAX_EXAMPLES)),
        }

    def __str__(self) -> str:
        why = "; ".join(f"{reason} ({count})" for reason, count in self.problems.most_common(_REASONS))
        rest = len(self.problems) - _REASONS
        more = f"; and {rest} other reasons" if rest > 0 else ""
        return f"{self.model} gave nothing for {self.failed} of {self.asked} texts ({self.stage}): {why}{more}"


def remarks_on(calls: Iterable[Calls]) -> list[Remark]:
    """A remark on each record with failures."""
    failed = [record for record in calls if record.failed]
    return [
        Remark("model_calls_failed", str(record), record.failed, record.asked, tuple(record.examples))
        for record in failed
    ]


def too_many_failed(calls: Iterable[Calls], max_failed: float = MAX_FAILED) -> str | None:
    """The reason why a result does not represent its pipeline, or None.

    Args:
        calls: All calls made for the result.
        max_failed: Share of the texts of one model in one stage that may be missing, in [0, 1].
    """
    over = [record for record in calls if record.is_model and record.failed and record.share > max_failed]
    if not over:
        return None
    return (
        f"{'; '.join(map(str, over))}. That is more than {max_failed:.3g} (max_failed) of them. Once the cause is gone "
        "run it again: what was written is kept in the store, and only the rest is asked for"
    )
