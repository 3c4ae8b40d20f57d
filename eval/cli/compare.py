"""``rag compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.cli.options import JsonOption
from rag.eval.cli.measures import measure_names

if TYPE_CHECKING:
    from rag.eval.comparison.result import Compared

Test = Literal["randomization", "t", "wilcoxon"]
Correction = Literal["holm", "bonferroni", "none"]

__all__ = ["compare"]


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run folders or TREC run files; NAME=PATH gives a run a name.")
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="DIR|NAME", help="Dataset with the judgments to measure run files by.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the dataset.")] = "test",
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of judgments (BEIR or TREC columns) to use instead of a dataset's."),
    ] = None,
    measures: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Measures to compare; by default those that all run folders have, and nDCG@10 for run files.",
        ),
    ] = "",
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare all others with this run, instead of all pairs.")
    ] = None,
    test: Annotated[Test, typer.Option(help="The paired test.")] = "randomization",
    correction: Annotated[Correction, typer.Option(help="Correction for the number of pairs compared.")] = "holm",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse runs on different queries.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the test and the intervals.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for compare.html, .md, .tex and .json.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: which is better, by how much, and how certain that is."""
    from rag.cli.console import out, print_json, progress
    from rag.eval.comparison.comparing import compare_runs
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.qrels import read_qrels
    from rag.eval.reports.comparison import write_comparison
    from rag.eval.runs.reading import read_run_values

    with progress("reading the judgments", None):
        judged = read_qrels(qrels) if qrels else load_dataset(dataset).split(split).qrels if dataset else None
    values = []
    with progress("reading runs", len(runs)) as advance:
        for run in runs:
            name, separator, path = run.partition("=")
            named = bool(separator) and not Path(run).exists()
            file, title = Path(path if named else run), name if named else None
            values.append(read_run_values(file, name=title, measures=measure_names(measures), qrels=judged))
            advance(1)
    with progress(f"comparing runs ({test})", None):
        compared = compare_runs(values, baseline=baseline, test=test, correction=correction, strict=strict, seed=seed)
        if folder is not None:
            write_comparison(compared, folder)
    if as_json:
        print_json(compared.to_dict())
        return
    console = out()
    console.print(_means(compared))
    for note in compared.notes:  # they say what is compared
        console.print(f"note: {note}", soft_wrap=True)
    if len(compared.runs) > 2:
        console.print(f"\n{compared.verdict}\n", soft_wrap=True)
    for pair in compared.pairs:
        console.print(pair.sentence, soft_wrap=True)
    for loss in compared.losses:
        console.print(loss, soft_wrap=True)
    _print_settings(compared, console)
    if folder is not None:
        console.print(f"report: {(folder / 'compare.html').resolve()}", soft_wrap=True)


def _means(compared: Compared) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("run")
    for measure in compared.measures:
        table.add_column(measure, justify="right")
    for name in compared.runs:
        table.add_row(name, *(f"{compared.means[name][measure]:.4f}" for measure in compared.measures))
    return table


def _print_settings(compared: Compared, console: Any) -> None:
    """Print the settings that differ between the runs' pipelines."""
    from rag.eval.runs.settings import setting_text

    if compared.settings is None:
        return
    if not compared.settings:
        console.print("the pipelines have the same settings")
    for path, values in compared.settings.items():
        console.print(
            f"{path}: " + ", ".join(f"{name} {setting_text(values, name, outline=True)}" for name in compared.runs),
            soft_wrap=True,
        )
