"""Metrics that can be optimized or bounded, and their better direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.errors import ConfigError, did_you_mean
from rag.eval.measures.names import parse_measures

__all__ = ["ANSWERS", "COSTS", "Objective", "parse_metric", "parse_objectives"]

ANSWERS = ("token_recall", "token_f1", "exact_match")
"""Measures of written answers against references, see :mod:`rag.eval.measures.answers`. The other ones there have no
value for some queries, so configurations would be compared on different queries.
"""

COSTS = {
    "latency_p50_ms": "median time of one query asked alone, in milliseconds",
    "latency_p95_ms": "95th percentile of the time of one query asked alone, in milliseconds",
    "scorer_calls": "pairs read by a scorer such as a cross-encoder, per query",
    "llm_calls": "requests to a language model, per query",
    "llm_tokens": "tokens read and written by language models, per query",
    "texts_embedded": "texts embedded, per query",
    "index_bytes": "size on disk of all fitted parts",
}
"""Cost metrics with descriptions; lower is better for all of them."""

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """A metric to optimize.

    Args:
        metric: A measure in ir_measures' spelling, or one of :data:`ANSWERS` or :data:`COSTS`.
        direction: The better direction.
    """

    metric: str
    direction: Direction

    @property
    def sign(self) -> float:
        """1 if higher is better, -1 if lower is better."""
        return 1.0 if self.direction == "maximize" else -1.0

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"


def parse_metric(name: str) -> str:
    """Parse a metric in its usual spelling.

    Raises:
        ConfigError: No such metric.
    """
    if name in COSTS or name in ANSWERS:
        return name
    try:
        return str(parse_measures([name])[0])
    except ConfigError as error:
        # Measures of rankings start with capitals, all others do not: suggest only from the other group.
        small = f"{name!r}{did_you_mean(name, [*ANSWERS, *COSTS])}, or a measure such as nDCG@10"
        message = small if name.islower() else error.mistakes[0].message
        raise ConfigError(message) from None


def parse_objectives(texts: Sequence[str]) -> list[Objective]:
    """Parse objectives such as ``nDCG@10``, ``latency_p95_ms`` or ``minimize nDCG@10``; by default measures are
    maximized and costs minimized.

    Raises:
        ConfigError: An unknown or repeated metric, or no text at all.
    """
    objectives: list[Objective] = []
    for text in texts:
        words = text.split()
        said = words.pop(0) if len(words) == 2 and words[0] in ("maximize", "minimize") else None
        if len(words) != 1 and "(" not in text:  # parameters of a measure may contain spaces
            raise ConfigError(
                f"'{text}' is not an objective: write nDCG@10, or minimize latency_p95_ms", parameter="objectives"
            )
        try:
            metric = parse_metric(" ".join(words))
        except ConfigError as error:
            raise ConfigError(f"unknown objective: {error.mistakes[0].message}", parameter="objectives") from None
        direction: Direction = "minimize" if said == "minimize" or (said is None and metric in COSTS) else "maximize"
        if any(objective.metric == metric for objective in objectives):
            raise ConfigError(f"the objective {metric} is given twice", parameter="objectives")
        objectives.append(Objective(metric, direction))
    if not objectives:
        raise ConfigError("name at least one, such as nDCG@10", parameter="objectives")
    return objectives
