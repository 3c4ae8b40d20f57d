"""``rag tune``. Heavy modules are imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import JsonOption, SetOption, StoreOption

if TYPE_CHECKING:
    from rag.hpo.planning import Plan
    from rag.hpo.results.result import SweepResult

__all__ = ["print_result", "tune"]


def tune(
    sweep: Annotated[
        Path, typer.Argument(metavar="SWEEP|PIPELINE", help="A sweep in YAML; with --auto a pipeline in YAML.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="DIR|NAME", help="A folder, a dataset file, or a name: see `rag datasets`."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Configurations to try, instead of the file's.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The sweep's folder; by default one under sweeps/.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that run trials.")] = 1,
    trial_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End a trial that takes longer; it counts as failed.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials of earlier starts again.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be computed, and compute nothing.")] = False,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Where trials are kept: journal:FILE, postgresql://...")
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Make the sweep from a pipeline: whatever pays on the dataset in the time.")
    ] = False,
    budget: Annotated[str | None, typer.Option(metavar="TIME", help="With --auto: 90s, 10m (default), 1h.")] = None,
    objective: Annotated[
        str | None, typer.Option(metavar="MEASURE", help="With --auto: what is tuned; nDCG@10 by default.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --auto: write the sweep to edit, and run nothing.")
    ] = None,
    scorer: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="With --auto: a cross-encoder to rerank with.")
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="With --auto: another encoder to try.")
    ] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Try configurations of a pipeline, choose on the tuning queries, report on the test queries.

    Stopped and started again with the same --out it goes on.
    """
    from rag.cli.console import print_json, progress, status
    from rag.cli.store import open_store
    from rag.errors import ConfigError
    from rag.hpo.sweep import read_sweep

    if auto:
        from rag.hpo.auto_cli import Request, tune_auto

        if trials is not None or workers > 1 or retry_failed:
            raise ConfigError("--auto goes step by step: without --trials, --workers and --retry-failed")
        asked = Request(sweep, dataset, budget or "10m", objective, plan, write, scorer or (), encoder or ())
        tune_auto(asked, folder, list(overrides or ()), storage, trial_timeout, as_json, store)
        return
    given = {"--budget": budget, "--objective": objective, "--write": write, "--scorer": scorer, "--encoder": encoder}
    if wrong := [name for name, value in given.items() if value is not None]:
        raise ConfigError(f"{wrong[0]} goes with --auto")
    settings = list(overrides or ())
    if trials is not None:
        settings.append(f"n_trials={trials}")
    if trial_timeout is not None:
        settings.append(f"trial_timeout={trial_timeout}")
    if storage is not None:
        settings.append(f"storage={storage}")
    request = read_sweep(sweep, overrides=settings)
    request.enqueued()
    if plan:
        from rag.eval.datasets.base import Dataset
        from rag.eval.datasets.load import load_dataset
        from rag.hpo.planning import plan as make_plan
        from rag.hpo.tuning import dataset_source

        source = dataset_source(request, dataset)
        data = source if source is None or isinstance(source, Dataset) else load_dataset(source)
        _print_plan(make_plan(request, data), as_json)
        return
    if dataset is None and request.dataset is None:
        raise ConfigError("say on which dataset: --dataset, or 'dataset' in the sweep")
    from rag.hpo.results.summary import summary
    from rag.hpo.tuning import tune as run

    name = str(dataset or request.dataset)
    target = folder or Path("sweeps") / f"{sweep.stem}-{Path(name).name.replace('/', '-').replace(':', '-')}"
    with open_store(store) as kept:
        result = run(
            request,
            dataset,
            out=target,
            store=kept,
            workers=workers,
            retry_failed=retry_failed,
            progress=progress,
            status=status,
        )
    if as_json:
        print_json({**summary(result), "folder": str(target)})
    else:
        print_result(result, target)


def _print_plan(plan: Plan, as_json: bool) -> None:
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
    how = "all of them" if plan.n_points == plan.n_trials else "these drawn at random, to count what they share"
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


def print_result(result: SweepResult, target: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from rag.cli.console import out

    console = out()
    about, sweep = result.dataset, result.sweep
    done = [trial for trial in result.trials if trial.state != "repeated"]
    stopped, failed = (sum(trial.state == state for trial in done) for state in ("stopped", "failed"))
    also = "".join(f", {n} {what}" for n, what in ((stopped, "stopped early"), (failed, "failed")) if n)
    console.print(
        Text.assemble(
            (f"{about['name']}", "bold"),
            f": {len(done)} trials{also}, tuned on {about['tune']} ({about['n_tune']} questions), "
            f"tested on {about['test']} ({about['n_test']})",
        )
    )
    metrics = [*sweep.metrics]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("", *metrics, f"{sweep.first.metric}, difference to the baseline"):
        table.add_column(heading, justify="left" if not heading else "right")
    baseline = result.baseline
    assert baseline is not None
    table.add_row("baseline, test", *(_number(baseline.metrics[name]) for name in metrics), "")
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


def _tested_trials(result: SweepResult) -> list[Any]:
    by_number = {trial.number: trial for trial in result.trials if trial.state != "repeated"}
    return [by_number[tested.trial] for tested in result.tested if tested.trial is not None]


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
