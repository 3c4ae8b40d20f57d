"""``rag eval``. Heavy modules are imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.calls import MAX_FAILED
from rag.cli.execution import OnOption, executed_on
from rag.cli.options import JsonOption, MaxFailedOption, SetOption, StoreModeOption, StoreOption
from rag.errors import IncompleteError
from rag.eval.cli.measures import measure_names

__all__ = ["evaluate"]


def evaluate(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG|DIR", help="A pipeline in YAML, or a saved one, which is measured as it is."),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="DIR|NAME", help="A folder, a dataset file, or a name: see `rag datasets`.")
    ] = "python-reference",
    split: Annotated[str, typer.Option(help="The judged queries to report on.")] = "test",
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of judgments (BEIR or TREC columns) to use instead of the dataset's."),
    ] = None,
    measures: Annotated[
        str, typer.Option(metavar="NAMES", help="Measures as ir_measures spells them, separated by commas or spaces.")
    ] = "nDCG@10,R@100,RR@10,AP,P@5",
    overrides: SetOption = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run folder; by default one under runs/.")
    ] = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Folder to save the fitted pipeline in; `rag search DIR` searches it."
        ),
    ] = None,
    as_json: JsonOption = False,
    ignore_identical_ids: Annotated[
        bool, typer.Option("--ignore-identical-ids", help="Leave out documents whose id equals the query's id.")
    ] = False,
    nulls: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Remove the relevant documents of this share of the questions from the corpus."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")] = 0,
    against_exact: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Compare with the last scorer's ranking of the whole corpus, for N questions."
        ),
    ] = None,
    judge: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="YAML file of a judge of the answers. May be repeated."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSONL or CSV file of labels by people (query_id, label), to check the judges against."
        ),
    ] = None,
    on: OnOption = "local",
    max_failed: MaxFailedOption = MAX_FAILED,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
) -> None:
    """Fit a pipeline (or load a saved one), search a dataset's questions, measure, and write a report."""
    from rag.cli.console import print_json, progress
    from rag.cli.store import open_store
    from rag.config import load_component
    from rag.errors import ConfigError
    from rag.eval.cli.shown import print_evaluation
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.nulls import without_answers
    from rag.eval.diagnostics.exact import against_exact as compared
    from rag.eval.diagnostics.exact import last_scorer
    from rag.eval.evaluation import evaluate as run
    from rag.eval.judges.base import Judge
    from rag.eval.judges.judging import check_judges
    from rag.eval.judges.labels import read_labels
    from rag.eval.measures.names import parse_measures
    from rag.eval.runs.folder import check_target, write_run
    from rag.pipeline import Pipeline
    from rag.store.folder import check_target as check_saved
    from rag.store.writing import plain_name

    # Check the whole request before any work starts.
    fitted = config.is_dir()
    if fitted:
        for name, value in (("--set", overrides), ("--save", saved), ("--nulls", nulls)):
            if value is not None:
                raise ConfigError(f"{config} is a saved pipeline, which is measured as it is", parameter=name)
    pipeline = Pipeline.load(config) if fitted else Pipeline.from_yaml(config, overrides=overrides or ())
    if against_exact:
        last_scorer(pipeline)
    judges = [load_component(path, Judge) for path in judge or ()]  # type: ignore[type-abstract]
    check_judges(pipeline, judges, None if labels is None else {})
    names = measure_names(measures)
    parse_measures(names)
    with progress(f"reading the dataset {dataset}", None), open_store(store) as opened:
        data = load_dataset(dataset, qrels=qrels, store=opened)
    if nulls is not None:
        data = without_answers(data, nulls, seed=seed)
    people = None if labels is None else read_labels(labels, query_ids=data.split(split).qrels)
    variant = f"-{pipeline.fingerprint[:8]}" if overrides else ""  # a run with --set gets a folder of its own
    target = folder or Path("runs") / f"{config.resolve().stem}-{plain_name(data.name)}-{split}{variant}"
    check_target(target)
    if saved is not None:
        check_saved(saved, pipeline.kind)
    with open_store(store, store_mode) as opened, executed_on(on):
        evaluation = run(
            pipeline,
            data,
            split=split,
            measures=names,
            ignore_identical_ids=ignore_identical_ids,
            seed=seed,
            progress=progress,
            store=opened,
            judge=judges,
            labels=people,
            max_failed=max_failed,
            fit=not fitted,
        )
        if against_exact:
            evaluation = compared(evaluation, against_exact, seed=seed, store=opened, progress=progress)
    with progress("writing the report", None):
        write_run(evaluation, target)
    if saved is not None:
        with progress("saving the pipeline", None):
            evaluation.pipeline.save(saved)
    if as_json:
        print_json({**evaluation.metrics, "run": str(target)})
    else:
        print_evaluation(evaluation, target)
    if evaluation.record.incomplete is not None:
        raise IncompleteError(evaluation.record.incomplete)
