"""Measures of answers in words, for a terminal or a list in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["answer_lines"]


def answer_lines(answers: Mapping[str, Any]) -> list[str]:
    """The entry ``answers`` of ``metrics.json`` in words; lines that belong to the line above are indented."""
    lines = [f"answers of {answers['stage']}: {_costs(answers['costs'])}; {_count(answers['failed'], 'problem')}"]
    lines += [f"  {name.replace('_', ' ')}: {_mean(value)}" for name, value in answers["measures"].items() if value]
    for judge in answers["judges"]:
        claims = ", ".join(f"{n} {verdict.replace('_', ' ')}" for verdict, n in judge["claims"].items())
        lines.append(f"judge {judge['name']}: {judge['n_judged']} answers, {_costs(judge['costs'])}; claims: {claims}")
        lines += [f"  {name}: {_mean(value)}" for name, value in judge["measures"].items() if value]
    lines += [
        f"agreement of {' and '.join(agreement['between'])}: {_agreement(agreement)}"
        for agreement in answers["agreement"]
    ]
    return lines


def _agreement(agreement: Mapping[str, Any]) -> str:
    if agreement["percent"] is None:
        return "no answer was labeled by both"
    kappa = f"Cohen's kappa {_mean(agreement['kappa'])}" if agreement["kappa"] else "no kappa: only one label occurs"
    return f"{agreement['percent']['mean']:.1%} of {_count(agreement['n'], 'answer')}, {kappa}"


def _mean(value: Mapping[str, Any]) -> str:
    bounds = value["ci95"]
    n = f", {value['n_queries']} answers" if "n_queries" in value else ""
    return f"{value['mean']:.4f}{f' ({bounds[0]:.4f} to {bounds[1]:.4f})' if bounds else ''}{n}"


def _costs(costs: Mapping[str, Any]) -> str:
    money = "" if costs["money"] is None else f", cost {costs['money']:.4g}"
    return f"{_count(costs['llm_calls'], 'call')}, {_count(costs['llm_tokens'], 'token')}{money}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
