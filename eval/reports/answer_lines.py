"""Measures of answers in words, for a terminal or a list in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["answer_lines"]


def answer_lines(found: Mapping[str, Any]) -> list[str]:
    """The entry ``answers`` of ``metrics.json`` in words; what belongs to the line above is indented."""
    lines = [f"answers of {found['stage']}: {_costs(found['costs'])}; {_count(found['failed'], 'problem')}"]
    lines += [f"  {name.replace('_', ' ')}: {_mean(value)}" for name, value in found["measures"].items() if value]
    for judge in found["judges"]:
        claims = ", ".join(f"{n} {verdict.replace('_', ' ')}" for verdict, n in judge["claims"].items())
        lines.append(f"judge {judge['name']}: {judge['n_judged']} answers, {_costs(judge['costs'])}; claims: {claims}")
        lines += [f"  {name}: {_mean(value)}" for name, value in judge["measures"].items() if value]
    lines += [f"agreement of {' and '.join(one['between'])}: {_agreement(one)}" for one in found["agreement"]]
    return lines


def _agreement(found: Mapping[str, Any]) -> str:
    if found["percent"] is None:
        return "there is no answer that both have labeled"
    kappa = (
        f"Cohen's kappa {_mean(found['kappa'])}" if found["kappa"] else "no kappa: one and the same label throughout"
    )
    return f"{found['percent']['mean']:.1%} of {_count(found['n'], 'answer')}, {kappa}"


def _mean(value: Mapping[str, Any]) -> str:
    bounds = value["ci95"]
    n = f", {value['n_queries']} answers" if "n_queries" in value else ""
    return f"{value['mean']:.4f}{f' ({bounds[0]:.4f} to {bounds[1]:.4f})' if bounds else ''}{n}"


def _costs(costs: Mapping[str, Any]) -> str:
    money = "" if costs["money"] is None else f", cost {costs['money']:.4g}"
    return f"{_count(costs['llm_calls'], 'call')}, {_count(costs['llm_tokens'], 'token')}{money}"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
