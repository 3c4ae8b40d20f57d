"""The summary on top of a report, for those who have twenty seconds: what to use, what it wins, costs, and how sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.eval.comparison.compared import ComparedRuns, listed
from rag.eval.comparison.pairs import Pair
from rag.eval.metrics import Metrics, StageChange
from rag.eval.reports.certainty import half_width, questions_for
from rag.eval.reports.pages import number, percent, seconds
from rag.eval.reports.picture import Step

__all__ = ["LATENCY", "Summary", "best_buys", "summary_of_comparison", "summary_of_run"]

Summary = list[tuple[str, str]]
"""Questions of a reader, and their answers."""

LATENCY = "latency p50, ms"
"""Name of the cost by which runs are called cheap."""

_EXPENSIVE = 0.1
"""Share of the time from which a stage without a sure gain is mentioned."""


def summary_of_run(metrics: Metrics, values: npt.NDArray[np.float64], picture: Sequence[Step]) -> Summary:
    """Answers of one run: what each stage wins, what a question costs, how sure the mean is.

    Which pipeline to use is what a comparison says.

    Args:
        metrics: The record of the run.
        values: Value of each query by the headline measure, shape [n_queries].
        picture: The steps of the pipeline.
    """
    said: Summary = []
    gains = [_gain(step, step.change) for step in picture[1:] if step.change is not None]
    if any(gains):
        said.append(("What its stages win", " ".join(gain for gain in gains if gain)))
    said.append(("What it costs", _cost(metrics)))
    if len(values) > 1 and values.std() > 0:
        half = half_width(values, len(values))
        more = questions_for(values, half / 2)
        answer = f"\u00b1 {half:.3f} with {number(len(values))} questions; {number(more)} like these would halve that."
        said.append(("How sure that is", answer))
    return said


def best_buys(compared: ComparedRuns) -> list[str]:
    """Runs that no run is better than by the first measure, proven or probably, the cheapest first: by median latency
    where all have one, else the best first.
    """
    pairs = [pair for pair in compared.pairs if pair.measure == compared.measures[0]]
    beaten = {pair.baseline if pair.difference > 0 else pair.run for pair in pairs if pair.verdict.direction}
    kept = [name for name in compared.runs if name not in beaten]
    means = {name: compared.means[name][compared.measures[0]] for name in compared.runs}
    cost = {name: compared.costs[name][LATENCY] for name in kept if LATENCY in compared.costs.get(name, {})}
    if len(cost) == len(kept):
        return sorted(kept, key=lambda name: (cost[name], -means[name]))
    return sorted(kept, key=lambda name: -means[name])


def summary_of_comparison(compared: ComparedRuns) -> Summary:
    """Answers of several runs on the same questions, by the first measure."""
    measure = compared.measures[0]
    buys = best_buys(compared)
    if not buys:
        return []
    chosen = buys[0]
    pairs = [pair for pair in compared.pairs if pair.measure == measure and chosen in (pair.run, pair.baseline)]
    said = [("What to use", _use(compared, buys))]
    won = [_ahead(pair, chosen) for pair in pairs if pair.significant]
    said.append(
        (
            "What it wins",
            f"{measure} " + "; ".join(won) + "." if won else "Nothing that is proven: the runs may be equal.",
        )
    )
    costs = compared.costs.get(chosen, {})
    spent = ", ".join(_priced(name, value) for name, value in costs.items())
    said.append(("What it costs", f"{spent}." if spent else "Not known: its run has no costs."))
    said.append(("How sure that is", _sure(compared, pairs, chosen)))
    return said


def _gain(step: Step, change: StageChange | None) -> str:
    if change is None or change.change is None or change.ci95 is None:
        return ""
    bounds = f"{change.change:+.3f}, {change.ci95[0]:+.3f} to {change.ci95[1]:+.3f}"
    if change.verdict == "raised":
        return f"{step.name} raises it ({bounds})."
    if change.verdict == "lowered":
        return f"{step.name} lowers it ({bounds}): without it this list is better."
    if step.share >= _EXPENSIVE:
        return f"{step.name} takes {percent(step.share)} of the time, and no gain by it is sure ({bounds})."
    return ""


def _cost(metrics: Metrics) -> str:
    n = metrics.n_queries
    alone = metrics.latency_ms
    said = f"{seconds(alone.p50 / 1e3 if alone else metrics.costs.seconds / n)} a question"
    said += " (median, each alone)" if alone else " (in a batch)"
    calls = [
        (metrics.costs.scorer_calls, "calls of a scorer"),
        (metrics.costs.llm_calls, "calls of a language model"),
        (metrics.costs.llm_tokens, "tokens of it"),
    ]
    said = ", ".join([said, *(f"{number(count / n)} {words}" for count, words in calls if count)])
    return f"{said}; {seconds(sum(step.seconds for step in metrics.fit))} once, to fit it."


def _use(compared: ComparedRuns, buys: Sequence[str]) -> str:
    chosen, others = buys[0], buys[1:]
    if not others:
        return f"{chosen}: the only one that no other seems better than."
    if all(LATENCY in compared.costs.get(name, {}) for name in buys):
        return f"{chosen}: the fastest of the {len(buys)} that no other seems better than, with {listed(others)}."
    return f"{chosen}, or {listed(others)}: no other seems better than these."


def _priced(name: str, value: float) -> str:
    """A cost of a question, such as ``latency p50 12 ms`` or ``scorer calls 30``."""
    words, _, unit = name.partition(", ")
    return f"{words} {number(value)} {unit}".strip()


def _ahead(pair: Pair, chosen: str) -> str:
    sign = 1 if pair.run == chosen else -1
    other = pair.baseline if sign > 0 else pair.run
    bounds = sorted(sign * bound for bound in pair.ci95) if pair.ci95 else None
    interval = f" ({bounds[0]:+.3f} to {bounds[1]:+.3f})" if bounds else ""
    return f"{sign * pair.difference:+.3f}{interval} over {other}"


def _sure(compared: ComparedRuns, pairs: Sequence[Pair], chosen: str) -> str:
    shown = [pair.detectable for pair in pairs if pair.detectable is not None]
    said = f"{number(compared.n_queries)} questions"
    if shown:
        said += f" show differences from {max(shown):.3f} on"
    open_pairs = [pair for pair in pairs if not pair.significant and pair.verdict.queries]
    if open_pairs:
        pair = min(open_pairs, key=lambda pair: pair.verdict.queries or 0)
        other = pair.baseline if pair.run == chosen else pair.run
        said += f"; about {number(pair.verdict.queries)} like these would settle it against {other}"
    return said + "."
