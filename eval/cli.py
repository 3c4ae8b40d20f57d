"""The commands of evaluation. Heavy modules are imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.calls import MAX_FAILED
from rag.cli import JsonOption, SetOption, StoreModeOption, StoreOption
from rag.console import echo, print_file
from rag.errors import IncompleteError
from rag.options import MaxFailedOption

if TYPE_CHECKING:
    from rag.eval.compared import Compared
    from rag.eval.evaluation import Evaluation

Test = Literal["randomisation", "t", "wilcoxon"]
Correction = Literal["holm", "bonferroni", "none"]

__all__ = ["compare", "evaluate", "report"]


def evaluate(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG|DIR", help="A pipeline in YAML; or a kept one, which is measured as it is."),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="DIR|NAME", help="A folder, a dataset file, or a name: see `rag datasets`.")
    ] = "python-reference",
    split: Annotated[str, typer.Option(help="The judged queries to report on.")] = "test",
    qrels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judgements (BEIR or TREC columns) instead of the folder's.")
    ] = None,
    measures: Annotated[
        str, typer.Option(metavar="NAMES", help="As ir_measures spells them, separated by commas or spaces.")
    ] = "nDCG@10,R@100,RR@10,AP,P@5",
    overrides: SetOption = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run folder; by default one under runs/.")
    ] = None,
    saved: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Keep the fitted pipeline there too; `rag search DIR` asks it."),
    ] = None,
    as_json: JsonOption = False,
    ignore_identical_ids: Annotated[
        bool, typer.Option("--ignore-identical-ids", help="Leave out a document whose id is the query's.")
    ] = False,
    nulls: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Take the relevant documents of this share of the questions out of the corpus."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For everything random.")] = 0,
    against_exact: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Have the last scorer score the whole corpus for N questions, and compare."
        ),
    ] = None,
    judge: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Has the answers judged as this YAML file says; may be repeated."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compares judges with people: query_id and label, in JSONL or CSV."),
    ] = None,
    max_failed: MaxFailedOption = MAX_FAILED,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
) -> None:
    """Fit a pipeline, or take a kept one as it is; search a dataset's questions, measure, and write a report."""
    from rag.config import load_component
    from rag.console import print_json, progress
    from rag.errors import ConfigError
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.nulls import without_answers
    from rag.eval.evaluation import evaluate as run
    from rag.eval.exact import against_exact as compared
    from rag.eval.exact import scoring_stage
    from rag.eval.judge import Judge
    from rag.eval.judging import check_judges
    from rag.eval.labels import read_labels
    from rag.eval.measures import parse_measures
    from rag.eval.run_folder import check_target, write_run
    from rag.pipeline import Pipeline
    from rag.store.cli import open_store
    from rag.store.folder import check_target as check_saved

    # Everything that can be wrong with the request is found before any work.
    fitted = config.is_dir()
    if fitted:
        for name, given in (("--set", overrides), ("--save", saved), ("--nulls", nulls)):
            if given is not None:
                raise ConfigError(f"{config} is a kept pipeline, which is measured as it is", parameter=name)
    pipeline = Pipeline.load(config) if fitted else Pipeline.from_yaml(config, overrides=overrides or ())
    if against_exact:
        scoring_stage(pipeline)
    judges = [load_component(one, Judge) for one in judge or ()]  # type: ignore[type-abstract]
    check_judges(pipeline, judges, None if labels is None else {})
    names = _names(measures)
    parse_measures(names)
    with progress(f"reading the dataset {dataset}", None):
        data = load_dataset(dataset, qrels=qrels)
    if nulls is not None:
        data = without_answers(data, nulls, seed=seed)
    people = None if labels is None else read_labels(labels, known=data.split(split).qrels)
    variant = f"-{pipeline.fingerprint[:8]}" if overrides else ""  # a run with --set is kept beside the one without
    target = folder or Path("runs") / f"{config.resolve().stem}-{data.name.replace('/', '-')}-{split}{variant}"
    check_target(target)
    if saved is not None:
        check_saved(saved, pipeline.kind)
    with open_store(store, store_mode) as kept:
        evaluation = run(
            pipeline,
            data,
            split=split,
            measures=names,
            ignore_identical_ids=ignore_identical_ids,
            seed=seed,
            progress=progress,
            store=kept,
            judge=judges,
            labels=people,
            max_failed=max_failed,
            fit=not fitted,
        )
        if against_exact:
            evaluation = compared(evaluation, against_exact, seed=seed, store=kept, progress=progress)
    with progress("writing the report", None):
        write_run(evaluation, target)
    if saved is not None:
        with progress("saving the pipeline", None):
            evaluation.pipeline.save(saved)
    if as_json:
        print_json({**evaluation.metrics, "run": str(target)})
    else:
        _print_evaluation(evaluation, target)
    if evaluation.metrics["incomplete"] is not None:
        raise IncompleteError(evaluation.metrics["incomplete"])


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run folders or TREC run files; NAME=PATH names one.")
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="DIR|NAME", help="Whose judgements to measure by; run files need them.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of the dataset.")] = "test",
    qrels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judgements (BEIR or TREC columns) instead of a dataset's.")
    ] = None,
    measures: Annotated[
        str, typer.Option(metavar="NAMES", help="By default those that all run folders have; nDCG@10 for run files.")
    ] = "",
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare all others with this run, instead of all pairs.")
    ] = None,
    test: Annotated[Test, typer.Option(help="The paired test.")] = "randomisation",
    correction: Annotated[Correction, typer.Option(help="For the number of pairs of a measure.")] = "holm",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse runs on different queries.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the test and the intervals.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write compare.html, .md, .tex and .json there.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of several runs is better, by how much, and how sure that is."""
    from rag.console import out, print_json, progress
    from rag.eval.comparison import compare_runs
    from rag.eval.comparison_report import write_comparison
    from rag.eval.datasets.load import load_dataset
    from rag.eval.datasets.qrels import read_qrels
    from rag.eval.runs import read_run_values

    with progress("reading the judgements", None):
        judged = read_qrels(qrels) if qrels else load_dataset(dataset).split(split).qrels if dataset else None
    values = []
    with progress("reading runs", len(runs)) as advance:
        for one in runs:
            name, given, path = one.partition("=")
            named = bool(given) and not Path(one).exists()
            file, title = Path(path if named else one), name if named else None
            values.append(read_run_values(file, name=title, measures=_names(measures), qrels=judged))
            advance(1)
    with progress(f"comparing runs ({test})", None):
        found = compare_runs(values, baseline=baseline, test=test, correction=correction, strict=strict, seed=seed)
        if folder is not None:
            write_comparison(found, folder)
    if as_json:
        print_json(found.to_json())
        return
    console = out()
    console.print(_means(found))
    if len(found.runs) > 2:
        console.print(f"\n{found.verdict}\n", soft_wrap=True)
    for pair in found.pairs:
        console.print(pair.sentence, soft_wrap=True)
    for loss in found.losses:
        console.print(loss, soft_wrap=True)
    _print_settings(found, console)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if folder is not None:
        console.print(f"report: {(folder / 'compare.html').resolve()}", soft_wrap=True)


def _names(measures: str) -> list[str]:
    import re

    return [name for name in re.split(r"[,\s]+(?![^(]*\))", measures) if name]


def _means(found: Compared) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("run")
    for measure in found.measures:
        table.add_column(measure, justify="right")
    for name in found.runs:
        table.add_row(name, *(f"{found.means[name][measure]:.4f}" for measure in found.measures))
    return table


def _print_settings(found: Compared, console: Any) -> None:
    """The settings that differ between the runs' pipelines."""
    from rag.eval.settings import setting_text

    if found.settings is None:
        return
    if not found.settings:
        console.print("the pipelines have the same settings")
    for path, values in found.settings.items():
        console.print(
            f"{path}: " + ", ".join(f"{name} {setting_text(values, name)}" for name in found.runs), soft_wrap=True
        )


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `rag eval` wrote.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a short summary, for a pull request, and write nothing.")
    ] = False,
) -> None:
    """Write a run's report again, from the run's files."""
    if markdown:
        from rag.eval.markdown import as_markdown

        print_file(as_markdown(run))
        return
    from rag.console import progress
    from rag.eval.report import write_report

    with progress("writing the report", None):
        written = write_report(run)
    echo(written.resolve())


def _print_evaluation(evaluation: Evaluation, target: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from rag.console import out
    from rag.eval.answer_lines import answer_lines
    from rag.eval.failures import words

    metrics = evaluation.metrics
    console = out()
    corpus, latency = metrics["corpus"], metrics["latency_ms"]
    console.print(
        Text.assemble(
            (f"{metrics['dataset']} / {metrics['split']}", "bold"),
            f": {metrics['n_queries']} questions, {corpus['documents']} documents in {corpus['passages']} passages",
        )
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("measure")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("95 % interval")
    for name, value in metrics["measures"].items():
        bounds = value["ci95"]
        table.add_row(name, f"{value['mean']:.4f}", f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "-")
    console.print(table)
    stages = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("stage", "ms per question", "documents left", "scorer calls"):
        stages.add_column(heading, justify="left" if heading == "stage" else "right")
    n = metrics["n_queries"]
    for stage in metrics["stages"]:
        per_query = f"{stage['seconds'] / n * 1e3:.1f}"
        stages.add_row(stage["name"], per_query, f"{stage['candidates']:.1f}", f"{stage['scorer_calls'] / n:.1f}")
    console.print(stages)
    fit = sum(step["seconds"] for step in metrics["fit"])
    alone = f"one question alone: {latency['p50']:.1f} ms (p50), {latency['p95']:.1f} ms (p95); " if latency else ""
    console.print(f"{alone}in batch: {metrics['throughput_qps']:.0f} per second; fitting took {fit:.1f} s")
    for index in metrics["indexes"]:
        console.print(
            f"index {index['name']} ({index['type']}): {index['bytes_per_document']:,.0f} bytes per document, "
            f"built in {index['build_seconds']:.1f} s",
            soft_wrap=True,
        )
    if "against_exact" in metrics:
        console.print(_against_exact(metrics["against_exact"]), soft_wrap=True)
    for one in metrics["filters"]:
        curve = (
            f"; PR AUC {one['curve_before']['pr_auc']:.3f} -> {one['curve']['pr_auc']:.3f}" if "curve" in one else ""
        )
        kept = "" if one["recall"] is None else f", keeps {one['recall']:.1%} of the relevant ones"
        console.print(
            Text(
                f"filter {one['name']}: removes {one['removed']:.1%} of the candidates{kept}; "
                f"{one['empty']:.1%} of the questions get nothing{curve}"
            ),
            soft_wrap=True,
        )
    if metrics["failures"] and (most := metrics["failures"][0])["loss"] >= 0.0005:
        turn = f"; setting to turn: {most['setting']}" if most["setting"] else ""
        console.print(
            f"costs most: {most['documents']} relevant documents {words(most['mode'], most['stage'])}, "
            f"{next(iter(metrics['measures']))} -{most['loss']:.4f}{turn}",
            soft_wrap=True,
        )
    if metrics["answers"] is not None:
        for line in answer_lines(metrics["answers"]):
            console.print(Text(line), soft_wrap=True)
    for note in metrics["notes"]:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    _print_examples(evaluation, console)
    console.print(Text.assemble("report: ", (str((target / "report.html").resolve()), "bold")), soft_wrap=True)


def _against_exact(found: dict[str, Any]) -> str:
    shares = ", ".join(f"{one['mean']:.3f} of its best {k}" for k, one in found["recall"].items())
    name, means = next(iter(found["measures"].items()))
    return (
        f"against the scorer's own ranking of the whole corpus, {found['n_queries']} questions, "
        f"{found['calls_per_query']:.1f} calls each: {shares}; {name} {means['pipeline']:.4f}, of that ranking "
        f"{means['exact']:.4f}"
    )


def _print_examples(evaluation: Evaluation, console: Any) -> None:
    """Three questions, spread over the split, with the best answer's first lines."""
    from rich.padding import Padding
    from rich.text import Text

    results = evaluation.results
    chosen = [results[i] for i in sorted({0, len(results) // 2, len(results) - 1})]
    for result in chosen:
        asked = result.query.text.strip() or f"(query {result.query.id} has no text)"
        console.print(Text.assemble(("? ", "bold cyan"), (asked, "bold")))
        if result.answer is not None:
            console.print(Padding(Text(result.answer.text or f"no answer: {result.answer.problem}"), (0, 0, 0, 2)))
        if not len(result):
            console.print(Padding("nothing found", (0, 0, 0, 2)))
            continue
        best = result[0]
        grade = evaluation.split.qrels[result.query.id].get(best.document.id)
        judged = "not judged" if grade is None else ("relevant" if grade > 0 else "judged not relevant")
        console.print(
            Padding(Text.assemble((best.document.id, "bold"), f"  {best.score:.3f}  ({judged})"), (0, 0, 0, 2))
        )
        lines = [line.strip() for line in best.passage.splitlines() if line.strip()][:3]
        console.print(Padding(Text("\n".join(lines), "dim"), (0, 0, 0, 2)))
