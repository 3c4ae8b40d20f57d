"""Show a recommendation: a table on the terminal, and an HTML file with the learning curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import cannot_be
from rag.eval.reports.figures import Figure, line
from rag.eval.reports.pages import render_page
from rag.hpo.auto.recommend import Measured, Recommendation
from rag.metadata import strict_json
from rag.store.writing import check_place, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["print_table", "render_recommendation", "write_recommendation"]


def write_recommendation(recommendation: Recommendation, folder: Path) -> None:
    """Write ``recommended.yaml``, ``recommend.json`` and ``report.html``.

    Raises:
        ArtifactError: The folder cannot be written, or holds something else.
    """
    from rag.config.writing import dump

    check_place(folder, "recommendation", lambda names: set() if "recommend.json" in names else names & {"report.html"})
    with cannot_be("written", folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "recommended.yaml", dump(recommendation.chosen.config))
        replace_file(folder / "recommend.json", json.dumps(strict_json(recommendation.to_dict()), indent=2) + "\n")
        replace_file(folder / "report.html", render_recommendation(recommendation))


def render_recommendation(recommendation: Recommendation) -> str:
    """The text of one HTML file that needs no network."""
    figures = {} if len(recommendation.curve) < 2 else {"plot-curve": _curve(recommendation)}
    rows = [_row(rung) for rung in recommendation.rungs]
    points = [[f"{n:,}", f"{mean:.4f}", _interval(bounds)] for n, mean, bounds in recommendation.curve]
    view = {"recommendation": recommendation, "rows": rows, "points": points, "columns": _COLUMNS, "drawn": figures}
    return render_page("recommend.html.j2", view, package="rag.hpo", style="sweep.css", figures=figures)


_COLUMNS = ("", "test", "95 %", "ms a question, p50", "to build, s", "pairs scored", "MiB")


def _row(rung: Measured) -> list[str]:
    return [
        rung.name,
        f"{rung.quality:.4f}",
        _interval(rung.ci95),
        f"{rung.latency_ms:.1f}",
        f"{rung.fit_s:.1f}",
        f"{rung.scorer_calls:.0f}",
        f"{rung.index_bytes / 2**20:.1f}",
    ]


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _curve(recommendation: Recommendation) -> Figure:
    sizes = [n for n, _, _ in recommendation.curve]
    means = [mean for _, mean, _ in recommendation.curve]
    trace = line(sizes, means, name="learned", mode="lines+markers")
    if all(bounds is not None for _, _, bounds in recommendation.curve):
        above = [bounds[1] - mean for _, mean, bounds in recommendation.curve if bounds]
        below = [mean - bounds[0] for _, mean, bounds in recommendation.curve if bounds]
        trace["error_y"] = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1}
    traces = [trace]
    plain = next((rung for rung in recommendation.rungs if rung.name == "hybrid"), None)
    if plain is not None:
        traces.append(line([sizes[0], sizes[-1]], [plain.quality] * 2, name="hybrid", color="<muted>"))
    axes = {
        "xaxis": {"title": {"text": "judged questions"}, "type": "log"},
        "yaxis": {"title": {"text": recommendation.measure}},
    }
    return {"data": traces, "layout": {**axes, "showlegend": True}}


def print_table(recommendation: Recommendation, folder: Path) -> None:
    """Write it to the terminal."""
    from rich.table import Table
    from rich.text import Text

    from rag.cli.console import out

    console = out()
    console.print(Text.assemble((recommendation.dataset, "bold"), f": {recommendation.measure} on the test questions"))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in _COLUMNS:
        table.add_column(heading, justify="right" if heading else "left")
    table.add_column("")
    for rung in recommendation.rungs:
        table.add_row(*_row(rung), "<- recommended" if rung.name == recommendation.choice else "")
    console.print(table)
    console.print(
        Text(
            f"recommended: {recommendation.choice}, the first that is not worse than the best by more than one "
            f"standard error (compared on {recommendation.compared_on})"
        ),
        soft_wrap=True,
    )
    for n, mean, _ in recommendation.curve:
        console.print(Text(f"  with {n:,} judged questions: {mean:.4f}"))
    for name, reason in recommendation.left_out.items():
        console.print(Text(f"left out: {name}: {reason}"), soft_wrap=True)
    console.print(Text.assemble("pipeline: ", (str((folder / "recommended.yaml").resolve()), "bold")), soft_wrap=True)
    console.print(Text.assemble("report: ", (str((folder / "report.html").resolve()), "bold")), soft_wrap=True)
