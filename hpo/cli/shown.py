"""Terminal output about sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.hpo.planning import Plan
    from rag.hpo.results.result import SweepResult
    from rag.hpo.results.tested import Tested

__all__ = ["print_plan", "print_result"]


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print the computations that a sweep would need."""
    from rich.table import Table

    from rag.cli.console import out, print_json

    if as_json:
        steps, work = (
            {name: {"needed": needed, "distinct": distinct} for name, (needed, distinct) in counts.items()}
            for counts in (plan.steps, plan.work)
        )
        print_json(
            {
                "points": plan.n_points,
                "trials": plan.n_trials,
                "steps": steps,
                "work": work,
                "refused": plan.refused[0],
            }
        )
        return
    console = out()
    size = "more configurations than can be listed" if plan.n_points is None else f"{plan.n_points:,} configurations"
    how = "all of them" if plan.n_points == plan.n_trials else "drawn at random, to count what they share"
    console.print(f"the space has {size}; {plan.n_trials:,} trials ({how})")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("step")
    for heading in ("needed", "computed", "share"):
        table.add_column(heading, justify="right")
    for step, (needed, distinct) in (plan.steps | plan.work).items():
        table.add_row(step, f"{needed:,}", f"{distinct:,}", f"{distinct / needed:.0%}")
    console.print(table)
    if plan.refused[0]:
        console.print(f"{plan.refused[0]} of them are refused: {plan.refused[1]}", soft_wrap=True)


def print_result(result: SweepResult, target: Path, source: str | None = None) -> None:
    """Print the outcome of a sweep, the paths of its files, and how to go on with its dataset."""
    from rich.table import Table
    from rich.text import Text

    from rag.cli.console import out

    console = out()
    dataset, sweep = result.dataset, result.sweep
    done = [trial for trial in result.trials if trial.state != "repeated"]
    stopped, failed = (sum(trial.state == state for trial in done) for state in ("stopped", "failed"))
    also = "".join(f", {n} {outcome}" for n, outcome in ((stopped, "stopped early"), (failed, "failed")) if n)
    console.print(
        Text.assemble(
            (f"{dataset['name']}", "bold"),
            f": {len(done)} trials{also}, tuned on {dataset['tune']} ({dataset['n_tune']} questions), "
            f"tested on {dataset['test']} ({dataset['n_test']})",
        )
    )
    metrics = [*sweep.metrics]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("", *metrics, f"{sweep.first.metric}, difference to the baseline"):
        table.add_column(heading, justify="left" if not heading else "right")
    baseline = result.baseline
    assert baseline is not None
    bounds = _bounds(baseline, sweep.first.metric)
    table.add_row("baseline, test", *(_number(baseline.metrics[name]) for name in metrics), bounds)
    for tested, trial in zip(result.tested, _tested_trials(result), strict=True):
        table.add_row(f"{tested.name}, tuning", *(_number(trial.metrics[name]) for name in metrics), "")
        against = tested.against.get(sweep.first.metric)
        said = ""
        if against is not None and tested.trial != baseline.trial:
            bounds = f" [{against.ci95[0]:+.4f}, {against.ci95[1]:+.4f}]" if against.ci95 else ""
            p = f"p {against.p_value:.3f}" if against.p_value >= 0.0005 else "p < .001"
            said = f"{against.difference:+.4f}{bounds}, {p}: {against.verdict.words}"
        table.add_row(f"{tested.name}, test", *(_number(tested.metrics[name]) for name in metrics), said)
    console.print(table)
    console.print(Text(result.verdict), soft_wrap=True)
    if result.best is not None:
        for name, value in result.best.point.items():
            console.print(Text(f"  {name}: {value}"))
    seconds, alone = sum(trial.seconds for trial in done), sum(trial.alone for trial in done)
    console.print(f"trials took {seconds:.1f} s; without the store about {alone:.1f} s")
    for note in result.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    console.print(Text.assemble("best: ", (str((target / "best.yaml").resolve()), "bold")), soft_wrap=True)
    console.print(Text.assemble("report: ", (str((target / "report.html").resolve()), "bold")), soft_wrap=True)
    if source is not None:
        command = f"rag eval {target / 'best.yaml'} --dataset {source} --save index"
        console.print(Text(f"next: {command}   (an index with what was learned)"), soft_wrap=True)


def _bounds(baseline: Tested, metric: str) -> str:
    mean = baseline.evaluation.record.measures.get(metric)
    return f"95 %: {mean.ci95[0]:.4f} to {mean.ci95[1]:.4f}" if mean is not None and mean.ci95 else ""


def _tested_trials(result: SweepResult) -> list[Any]:
    by_number = {trial.number: trial for trial in result.trials if trial.state != "repeated"}
    return [by_number[tested.trial] for tested in result.tested if tested.trial is not None]


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
