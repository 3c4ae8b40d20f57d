"""The terminal output of ``rag eval``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.eval.result import Evaluation

__all__ = ["print_evaluation"]

_EXCERPT = 150
"""Characters of a passage: two lines."""


def print_evaluation(evaluation: Evaluation, target: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from rag.cli.console import out
    from rag.eval.diagnostics.failures import remedy, words
    from rag.eval.reports.answer_lines import answer_lines

    metrics = evaluation.record
    console = out()
    corpus, latency = metrics.corpus, metrics.latency_ms
    console.print(
        Text.assemble(
            (f"{metrics.dataset} / {metrics.split}", "bold"),
            f": {metrics.n_queries} questions, {corpus.documents} documents in {corpus.passages} passages",
        )
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("measure")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("95 % interval")
    for name, mean in metrics.measures.items():
        bounds = mean.ci95
        table.add_row(name, f"{mean.mean:.4f}", f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else "-")
    console.print(table)
    stages = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("stage", "ms per question in batch", "documents left", "scorer calls"):
        stages.add_column(heading, justify="left" if heading == "stage" else "right")
    n = metrics.n_queries
    for stage in metrics.stages:
        per_query = f"{stage.seconds / n * 1e3:.1f}"
        stages.add_row(stage.name, per_query, f"{stage.candidates:.1f}", f"{stage.scorer_calls / n:.1f}")
    console.print(stages)
    fit = sum(step.seconds for step in metrics.fit)
    alone = f"one question alone: {latency.p50:.1f} ms (p50), {latency.p95:.1f} ms (p95); " if latency else ""
    console.print(f"{alone}in batch: {metrics.throughput_qps:.0f} per second; fitting: {fit:.1f} s (as first computed)")
    for index in metrics.indexes:
        console.print(
            f"index {index.name} ({index.type}): {index.bytes_per_document:,.0f} bytes per document, "
            f"built in {index.build_seconds:.1f} s",
            soft_wrap=True,
        )
    if metrics.against_exact is not None:
        console.print(_against_exact(metrics.against_exact), soft_wrap=True)
    for log in metrics.filters:
        console.print(Text(_filter_line(log)), soft_wrap=True)
    if metrics.failures and (most := metrics.failures[0]).loss >= 0.0005:
        advice = remedy(most.mode)
        turn = f"; setting to turn: {most.setting}" if most.setting else f"; to try: {advice}" if advice else ""
        console.print(
            f"costs most: {most.documents} relevant documents {words(most.mode, most.stage)}, "
            f"{metrics.headline} -{most.loss:.4f}{turn}",
            soft_wrap=True,
        )
    if metrics.answers is not None:
        for line in answer_lines(metrics.answers):
            console.print(Text(line), soft_wrap=True)
    for note in metrics.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    _print_examples(evaluation, console)
    console.print(Text.assemble("report: ", (str((target / "report.html").resolve()), "bold")), soft_wrap=True)


def _filter_line(log: Mapping[str, Any]) -> str:
    curve = f"; PR AUC {log['curve_before']['pr_auc']:.3f} -> {log['curve']['pr_auc']:.3f}" if "curve" in log else ""
    recall = "" if log["recall"] is None else f", keeps {log['recall']:.1%} of the relevant ones"
    return (
        f"filter {log['name']}: removes {log['removed']:.1%} of the candidates{recall}; "
        f"{log['empty']:.1%} of the questions get nothing, {log['questions']['wrong']:.1%} nothing relevant among "
        f"what they get{curve}"
    )


def _against_exact(exact: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{mean['mean']:.3f} of its best {depth}" for depth, mean in exact["recall"].items())
    name, means = next(iter(exact["measures"].items()))
    return (
        f"against the scorer's own ranking of the whole corpus, {exact['n_queries']} questions, "
        f"{exact['calls_per_query']:.1f} calls each: {shares}; {name} {means['pipeline']:.4f}, of that ranking "
        f"{means['exact']:.4f}"
    )


def _print_examples(evaluation: Evaluation, console: Any) -> None:
    """Print three questions, spread over the split, with the first lines of their best results."""
    from rich.padding import Padding
    from rich.text import Text

    results = evaluation.results
    console.print(f"\nthe first hit of {'three' if len(results) > 2 else 'all'} questions:")
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
        if where := str(best.origin):
            console.print(Text(f"  {where}", "dim"), soft_wrap=True)
        passage = " ".join(best.passage.split())
        console.print(Padding(Text(passage[:_EXCERPT] + "…" * (len(passage) > _EXCERPT), "dim"), (0, 0, 0, 2)))
