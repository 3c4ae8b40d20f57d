"""A run in Markdown, short enough for a pull request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rag.errors import ArtifactError
from rag.eval.diagnostics.failures import words
from rag.eval.reports.answer_lines import answer_lines
from rag.eval.reports.escaping import markdown

__all__ = ["as_markdown"]


def as_markdown(run: Path) -> str:
    """Measures with intervals, stages with what they cost and lose, failure modes, answers with what judges say, and
    notes.

    Args:
        run: A run folder.

    Raises:
        ArtifactError: There is no run, or it is damaged.
    """
    try:
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        return _page(metrics)
    except FileNotFoundError:
        raise ArtifactError(f"{run}: there is no run (no metrics.json)") from None
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise ArtifactError(f"{run}: damaged: metrics.json cannot be used ({error!r})") from None


def _page(metrics: dict[str, Any]) -> str:
    n, corpus, latency = metrics["n_queries"], metrics["corpus"], metrics["latency_ms"]
    lines = [
        f"### {markdown(metrics['dataset'])} / {markdown(metrics['split'])}",
        "",
        f"{n} questions, {corpus['documents']:,} documents in {corpus['passages']:,} passages",
        "",
        "| measure | mean | 95 % interval |",
        "|---|---|---|",
    ]
    for name, value in metrics["measures"].items():
        bounds = f"{value['ci95'][0]:.4f} to {value['ci95'][1]:.4f}" if value["ci95"] else "-"
        lines.append(f"| {markdown(name)} | {value['mean']:.4f} | {bounds} |")
    losses = {one["name"]: one for one in metrics.get("attribution", {}).get("stages", ())}
    lines += [
        "",
        "| stage | ms per question | scorer calls | recall after it | relevant lost |",
        "|---|---|---|---|---|",
    ]
    for stage in metrics["stages"]:
        lost = losses.get(stage["name"])
        after = f"{lost['recall']:.3f} | {lost['lost']}" if lost else "- | -"
        spent = f"{stage['seconds'] / n * 1e3:.1f} | {stage['scorer_calls'] / n:.1f}"
        lines.append(f"| {markdown(stage['name'])} | {spent} | {after} |")
    lines += _failures(metrics)
    if metrics.get("answers"):
        lines += ["", *(_item(line) for line in answer_lines(metrics["answers"]))]
    alone = f"one question alone {latency['p50']:.1f} ms (p50), {latency['p95']:.1f} ms (p95); " if latency else ""
    lines += ["", f"{alone}in batch {metrics['throughput_qps']:.0f} per second"]
    lines += ["", *(f"- {markdown(note)}" for note in metrics["notes"])] if metrics["notes"] else []
    pipeline = f"pipeline {markdown(metrics['config_fingerprint'])}, seed {markdown(metrics['seed'])}"
    return "\n".join([*lines, "", pipeline]) + "\n"


def _item(line: str) -> str:
    """A line that is indented becomes part of a list inside the list."""
    return " " * (len(line) - len(line.lstrip())) + "- " + markdown(line)


def _failures(metrics: dict[str, Any]) -> list[str]:
    """What keeps the headline measure from its best; a run written before this was measured has nothing."""
    modes = metrics.get("failures")
    if not modes:
        return []
    headline, *_ = metrics["measures"]
    lines = [
        "",
        f"| failure mode | relevant documents | share | {markdown(headline)} lost | setting to turn | costs most |",
        "|---|---|---|---|---|---|",
    ]
    for mode in modes:
        setting = markdown(mode["setting"]) if mode.get("setting") else "-"
        worst = ", ".join(f"{markdown(one['query_id'])} ({one['loss']:.2f})" for one in mode["worst"][:3])
        lines.append(
            f"| {markdown(words(mode['mode'], mode['stage']))} | {mode['documents']} | {mode['share']:.1%} | "
            f"{mode['loss']:.4f} | {setting} | {worst or '-'} |"
        )
    return lines
