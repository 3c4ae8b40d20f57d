"""Reports of a comparison: HTML that needs no network, Markdown for a pull request, a LaTeX table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.arguments import refuses_unknown
from rag.errors import cannot_be
from rag.eval.comparison.compared import ComparedRuns
from rag.eval.comparison.pairs import Pair
from rag.eval.reports.cost_front import cost_front
from rag.eval.reports.escaping import latex, markdown
from rag.eval.reports.figures import bars, label
from rag.eval.reports.pages import excerpt, number, render_page
from rag.eval.reports.summary import LATENCY, summary_of_comparison
from rag.eval.runs.settings import setting_text
from rag.metadata import strict_json
from rag.store.writing import check_place, replace_file

__all__ = ["as_latex", "as_markdown", "render_comparison", "write_comparison"]

_FILES = ("compare.html", "compare.json", "compare.md", "compare.tex")
_ROWS = 5000
"""Maximum number of queries drawn and listed."""


def as_markdown(compared: ComparedRuns) -> str:
    """Write the verdict, means and costs, and every pair as a sentence and a row."""
    costs = _costs(compared)
    lines = [f"**{markdown(compared.verdict)}**\n"]
    lines += [f"- {markdown(loss)}" for loss in compared.losses]
    lines.append(f"\n{compared.n_queries:,} queries\n")
    lines.append("| run | " + " | ".join([*map(markdown, compared.measures), *costs]) + " |")
    lines.append("|---|" + "---|" * (len(compared.measures) + len(costs)))
    for name in compared.runs:
        means = (_mean(compared, name, measure) for measure in compared.measures)
        spent = (number(compared.costs.get(name, {}).get(cost)) for cost in costs)
        lines.append(f"| {' | '.join([markdown(name), *means, *spent])} |")
    lines += _settings_lines(compared)
    for measure in compared.measures:
        lines += ["", f"### {markdown(measure)}", ""]
        lines += [f"- {markdown(pair.sentence)}" for pair in compared.pairs if pair.measure == measure]
        lines += [
            "",
            "| run | against | verdict | difference | 95 % interval | p | p corrected | effect size "
            "| wins / ties / losses |",
        ]
        lines.append("|---" * 9 + "|")
        for pair in compared.pairs:
            if pair.measure == measure:
                bounds = f"{pair.ci95[0]:+.4f} to {pair.ci95[1]:+.4f}" if pair.ci95 else "-"
                lines.append(
                    f"| {markdown(pair.run)} | {markdown(pair.baseline)} | {pair.verdict.words} | "
                    f"{pair.difference:+.4f} | {bounds} | {pair.p_value:.4f} | {pair.p_corrected:.4f} | "
                    f"{pair.effect_size:+.2f} | {pair.wins} / {pair.ties} / {pair.losses} |"
                )
    return "\n".join([*lines, "", _method(compared), "", *(f"- {markdown(note)}" for note in compared.notes)]) + "\n"


def as_latex(compared: ComparedRuns) -> str:
    """Write a ``tabular`` of means (with ``booktabs``), the best of each measure in bold; with a baseline, runs that
    differ from it get a dagger.
    """
    rows = []
    against = {(pair.run, pair.measure): pair for pair in compared.pairs}
    one_baseline = len({pair.baseline for pair in compared.pairs}) == 1
    best = {m: max(compared.means[name][m] for name in compared.runs) for m in compared.measures}
    for name in compared.runs:
        cells = []
        for measure in compared.measures:
            mean = compared.means[name][measure]
            text = f"\\textbf{{{mean:.3f}}}" if mean == best[measure] else f"{mean:.3f}"
            pair = against.get((name, measure))
            cells.append(text + ("$^\\dagger$" if one_baseline and pair is not None and pair.significant else ""))
        rows.append(f"{latex(name)} & " + " & ".join(cells) + r" \\")
    head = " & ".join(["Run", *map(latex, compared.measures)]) + r" \\"
    columns = "l" + "r" * len(compared.measures)
    return "\n".join(
        [
            f"% {_method(compared)}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def render_comparison(compared: ComparedRuns) -> str:
    """Write one self-contained HTML file: means with intervals, every pair, each query, and the method."""
    pairs = list(dict.fromkeys((pair.run, pair.baseline) for pair in compared.pairs))
    shown = _shown(compared)
    values = {
        name: {measure: [round(column[n], 6) for n in shown] for measure, column in values.items()}
        for name, values in compared.values.items()
    }
    queries = [compared.queries[n] for n in shown]
    method = _method(compared)
    view = {
        "compared": compared,
        "costs": _costs(compared),
        "settings": [
            (path, [setting_text(values, name) for name in compared.runs])
            for path, values in (compared.settings or {}).items()
        ],
        "method": method[0].upper() + method[1:],
        "whisker": _whisker(compared),
        "brief": summary_of_comparison(compared),
        "questions": _more_questions(compared),
        "cost": LATENCY,
        "pairs": pairs,
        "rows": _rows(queries, *(values[name][compared.measures[0]] for name in pairs[0])) if len(shown) > 1 else [],
    }
    if compared.n_queries < 2:
        return render_page("comparison.html.j2", view | {"figures": {}})
    data = {
        "pairs": pairs,
        "measures": compared.measures,
        "values": values,
        "names": {name: excerpt(name, 40) for name in compared.runs},
        "labels": {name: label(name) for name in (*compared.runs, *compared.measures)},
        "texts": [label(text, 100) for _, text in queries],
    }
    # The pair to draw is chosen in the page, so a script fills in the bars.
    figure = bars([], [], hover=[], x="queries, by difference", y="", bargap=0, xaxis={"showticklabels": False})
    figures = {"plot-differences": figure}
    priced = [name for name in compared.runs if LATENCY in compared.costs.get(name, {})]
    if len(priced) > 1:
        figures["plot-costs"] = cost_front(compared, priced)
    view["figures"] = figures
    return render_page("comparison.html.j2", view, scripts=["comparison.js"], figures=figures, data=data)


@refuses_unknown
def write_comparison(compared: ComparedRuns, folder: Path) -> Path:
    """Write ``compare.html``, ``.json``, ``.md`` and ``.tex`` into a folder, each atomically.

    Raises:
        ArtifactError: The folder has other content, or cannot be written.
    """
    check_place(folder, "comparison", lambda names: names - set(_FILES))
    texts = {
        "compare.html": render_comparison(compared),
        "compare.json": json.dumps(strict_json(compared.to_dict()), indent=2, ensure_ascii=False) + "\n",
        "compare.md": as_markdown(compared),
        "compare.tex": as_latex(compared),
    }
    with cannot_be("written", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_file(folder / name, text)
    return folder


def _settings_lines(compared: ComparedRuns) -> list[str]:
    if not compared.settings:
        return [] if compared.settings is None else ["", "The pipelines have the same settings."]
    lines = ["", f"| setting | {' | '.join(map(markdown, compared.runs))} |", "|---" * (len(compared.runs) + 1) + "|"]
    for path, values in compared.settings.items():
        row = [markdown(path), *(markdown(setting_text(values, name)) for name in compared.runs)]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _method(compared: ComparedRuns) -> str:
    test = {
        "randomization": "paired randomization test",
        "t": "paired t test",
        "wilcoxon": "Wilcoxon's signed-rank test",
    }[compared.test]
    correction = {
        "holm": "corrected by Holm's method over the pairs of a measure",
        "bonferroni": "corrected by Bonferroni's method over the pairs of a measure",
        "none": "not corrected",
    }[compared.correction]
    return f"{test}, two-sided, {correction}; percentile bootstrap intervals over queries; seed {compared.seed}"


def _mean(compared: ComparedRuns, name: str, measure: str) -> str:
    bounds = compared.ci95[name][measure]
    return f"{compared.means[name][measure]:.4f}" + (f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "")


def _shown(compared: ComparedRuns) -> list[int]:
    """Indices of the queries to list; of very many, those on which the runs differ most by the first measure."""
    values = np.array([compared.values[name][compared.measures[0]] for name in compared.runs])
    return sorted(np.argsort(-np.ptp(values, axis=0), kind="stable")[:_ROWS].tolist())


def _rows(queries: Sequence[tuple[str, str]], run: Sequence[float], baseline: Sequence[float]) -> list[dict[str, Any]]:
    """Each query with both values and their difference, the largest gain first."""
    rows: list[dict[str, Any]] = [
        {"number": index, "id": id, "text": text, "run": ours, "baseline": theirs, "difference": ours - theirs}
        for index, ((id, text), ours, theirs) in enumerate(zip(queries, run, baseline, strict=True))
    ]
    return sorted(rows, key=lambda row: -row["difference"])


def _more_questions(compared: ComparedRuns) -> tuple[list[int], list[tuple[Pair, list[float]]]] | None:
    """Numbers of questions, and for each pair the least difference that so many would show; None if unknown."""
    pairs = [pair for pair in compared.pairs if pair.measure == compared.measures[0] and pair.detectable]
    if not pairs:
        return None
    times = (1, 2, 4, 10)
    least = [(pair, [float(pair.detectable or 0) / math.sqrt(n) for n in times]) for pair in pairs]
    return [compared.n_queries * n for n in times], least


def _costs(compared: ComparedRuns) -> list[str]:
    """Names of the known costs per query, with their units."""
    return list(dict.fromkeys(name for costs in compared.costs.values() for name in costs))


def _whisker(compared: ComparedRuns) -> dict[str, float]:
    """The end of the difference scale, by measure: the same for all pairs."""

    def reach(pair: Pair) -> float:
        return max(map(abs, pair.ci95)) if pair.ci95 else abs(pair.difference)

    return {m: max([reach(pair) for pair in compared.pairs if pair.measure == m] + [1e-9]) for m in compared.measures}
