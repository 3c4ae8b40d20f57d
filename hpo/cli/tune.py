"""``rag tune``. Heavy modules are imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.execution import OnOption
from rag.cli.options import JsonOption, SetOption, StoreOption

__all__ = ["tune"]


def tune(
    sweep: Annotated[
        Path, typer.Argument(metavar="SWEEP|PIPELINE", help="A sweep in YAML; with --auto a pipeline in YAML.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="DIR|NAME", help="A folder, a dataset file, or a name: see `rag datasets`."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of configurations, instead of the file's.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The sweep's folder; by default one under sweeps/.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that run trials.")] = 1,
    trial_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End a trial that takes longer; it counts as failed.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials of earlier starts again.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be computed, and compute nothing.")] = False,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Storage of the trials: journal:FILE, postgresql://...")
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Make the sweep from a pipeline: the changes likely to pay in the time.")
    ] = False,
    budget: Annotated[str | None, typer.Option(metavar="TIME", help="With --auto: 90s, 10m (default), 1h.")] = None,
    objective: Annotated[
        str | None, typer.Option(metavar="MEASURE", help="With --auto: the measure to tune; nDCG@10 by default.")
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
    on: OnOption = "local",
) -> None:
    """Try configurations of a pipeline, choose on the tuning queries, report on the test queries.

    With the same --out a stopped sweep resumes.
    """
    from rag.cli.console import print_json, progress, status
    from rag.cli.execution import cluster_on
    from rag.cli.store import open_store
    from rag.errors import ConfigError
    from rag.hpo.cli.shown import print_plan, print_result
    from rag.hpo.sweep import read_sweep

    if auto:
        from rag.hpo.cli.auto import Request, tune_auto

        if trials is not None or workers > 1 or retry_failed or on != "local":
            raise ConfigError("--auto excludes --trials, --workers, --retry-failed and --on")
        asked = Request(sweep, dataset, budget or "10m", objective, plan, write, scorer or (), encoder or ())
        tune_auto(asked, folder, list(overrides or ()), storage, trial_timeout, as_json, store)
        return
    auto_options = {
        "--budget": budget,
        "--objective": objective,
        "--write": write,
        "--scorer": scorer,
        "--encoder": encoder,
    }
    if wrong := [name for name, value in auto_options.items() if value is not None]:
        raise ConfigError(f"{wrong[0]} needs --auto")
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
        print_plan(make_plan(request, data), as_json)
        return
    if dataset is None and request.dataset is None:
        raise ConfigError("name a dataset: --dataset, or 'dataset' in the sweep")
    from rag.hpo.results.summary import summary
    from rag.hpo.tuning import tune as run
    from rag.store.writing import plain_name

    name = str(dataset or request.dataset)
    target = folder or Path("sweeps") / f"{sweep.stem}-{plain_name(Path(name).name)}"
    with open_store(store) as opened, cluster_on(on) as cluster:
        result = run(
            request,
            dataset,
            out=target,
            store=opened,
            workers=workers,
            execution=cluster,
            retry_failed=retry_failed,
            progress=progress,
            status=status,
        )
    if as_json:
        print_json({**summary(result), "folder": str(target)})
    else:
        print_result(result, target)
