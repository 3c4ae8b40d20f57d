"""A run summarized in Markdown, short enough for a pull request."""

from __future__ import annotations

from pathlib import Path

from rag.errors import ArtifactError
from rag.eval.diagnostics.failures import remedy, words
from rag.eval.metrics import Metrics, read_metrics
from rag.eval.reports.answer_lines import answer_lines
from rag.eval.reports.escaping import markdown

__all__ = ["as_markdown"]


def as_markdown(run: Path) -> str:
    """Summarize measures with intervals, stages with costs and losses, failure modes, answers with verdicts, and notes.

    Args:
        run: A run folder.

    Raises:
        ArtifactError: There is no run, or it is damaged.
    """
    metrics = read_metrics(run)
    try:
        return _page(metrics)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{run}: damaged: metrics.json cannot be used ({error!r})") from None


def _page(metrics: Metrics) -> str:
    n, corpus, latency = metrics.n_queries, metrics.corpus, metrics.latency_ms
    lines = [
        f"### {markdown(metrics.dataset)} / {markdown(metrics.split)}",
        "",
        f"{n} questions, {corpus.documents:,} documents in {corpus.passages:,} passages",
        "",
        "| measure | mean | 95 % interval |",
        "|---|---|---|",
    ]
    for name, mean in metrics.measures.items():
        bounds = f"{mean.ci95[0]:.4f} to {mean.ci95[1]:.4f}" if mean.ci95 else "-"
        lines.append(f"| {markdown(name)} | {mean.mean:.4f} | {bounds} |")
    losses = {stage.name: stage for stage in metrics.attribution.stages}
    lines += [
        "",
        "| stage | ms per question | scorer calls | recall after it | relevant lost |",
        "|---|---|---|---|---|",
    ]
    for stage in metrics.stages:
        lost = losses.get(stage.name)
        after = f"{lost.recall:.3f} | {lost.lost}" if lost else "- | -"
        spent = f"{stage.seconds / n * 1e3:.1f} | {stage.scorer_calls / n:.1f}"
        lines.append(f"| {markdown(stage.name)} | {spent} | {after} |")
    lines += _changes(metrics)
    lines += _failures(metrics)
    if metrics.answers:
        lines += ["", *(_item(line) for line in answer_lines(metrics.answers))]
    alone = f"one question alone {latency.p50:.1f} ms (p50), {latency.p95:.1f} ms (p95); " if latency else ""
    lines += ["", f"{alone}in batch {metrics.throughput_qps:.0f} per second"]
    lines += ["", *(f"- {markdown(note)}" for note in metrics.notes)] if metrics.notes else []
    pipeline = f"pipeline {markdown(metrics.config_fingerprint)}, seed {markdown(metrics.seed)}"
    return "\n".join([*lines, "", pipeline]) + "\n"


def _item(line: str) -> str:
    """Format a line; an indented one becomes an item of a nested list."""
    return " " * (len(line) - len(line.lstrip())) + "- " + markdown(line)


def _changes(metrics: Metrics) -> list[str]:
    """What each stage does to the headline measure, where there is more than one."""
    if len(metrics.changes) < 2:
        return []
    lines = [
        "",
        f"| stage | {markdown(metrics.headline)} after it | change | 95 % interval | |",
        "|---|---|---|---|---|",
    ]
    for stage in metrics.changes:
        change = "-" if stage.change is None else f"{stage.change:+.4f}"
        bounds = f"{stage.ci95[0]:+.4f} to {stage.ci95[1]:+.4f}" if stage.ci95 else "-"
        lines.append(f"| {markdown(stage.name)} | {stage.value:.4f} | {change} | {bounds} | {stage.verdict} |")
    return lines


def _failures(metrics: Metrics) -> list[str]:
    """Table rows of the failure modes, the most expensive first."""
    if not metrics.failures:
        return []
    headline = markdown(metrics.headline)
    lines = [
        "",
        f"| failure mode | relevant documents | share | {headline} lost | to try | costs most |",
        "|---|---|---|---|---|---|",
    ]
    for failure in metrics.failures:
        attempt = markdown(failure.setting or remedy(failure.mode) or "-")
        worst = ", ".join(f"{markdown(query.query_id)} ({query.loss:.2f})" for query in failure.worst[:3])
        lines.append(
            f"| {markdown(words(failure.mode, failure.stage))} | {failure.documents} | {failure.share:.1%} | "
            f"{failure.loss:.4f} | {attempt} | {worst or '-'} |"
        )
    return lines
