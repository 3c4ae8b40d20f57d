"""What reports say for a decision: summary, picture, front, what more questions would buy, links."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.eval import RunValues, compare_runs
from rag.eval.comparison.compared import ComparedRuns
from rag.eval.metrics import Metrics, StageChange, read_metrics
from rag.eval.reports.certainty import half_width, more_questions, questions_for
from rag.eval.reports.comparison import render_comparison
from rag.eval.reports.cost_front import cost_front
from rag.eval.reports.pages import address
from rag.eval.reports.picture import steps
from rag.eval.reports.report import render_report
from rag.eval.reports.summary import LATENCY, best_buys, summary_of_comparison, summary_of_run
from tests.fake_runs import fake_queries, write_fake_run


def compared(*runs: tuple[str, float, float | None], n: int = 80, spread: float = 0.05) -> ComparedRuns:
    """Runs by name, shift of their values and milliseconds."""
    rng = np.random.default_rng(0)
    base = rng.beta(2, 2, size=n)
    return compare_runs(
        [
            RunValues(
                name,
                {"nDCG@10": {f"q{k}": float(v) for k, v in enumerate(base + shift + rng.normal(0, spread, n))}},
                costs={} if ms is None else {LATENCY: ms},
            )
            for name, shift, ms in runs
        ]
    )


def test_what_to_use_is_the_cheapest_that_nothing_seems_better_than() -> None:
    runs = compared(("slow", 0.1, 90.0), ("quick", 0.1, 9.0), ("poor", 0.0, 1.0))
    assert best_buys(runs) == ["quick", "slow"]
    said = dict(summary_of_comparison(runs))
    assert said["What to use"].startswith("quick: the fastest of the 2 that no other seems better than, with slow")
    assert " over poor." in said["What it wins"]
    assert said["What it costs"] == "latency p50 9 ms."
    assert said["How sure that is"].startswith("80 questions show differences from ")


def test_without_times_the_best_comes_first() -> None:
    runs = compared(("slow", 0.1, None), ("quick", 0.1, 9.0), ("poor", 0.0, 1.0))
    best = max(("slow", "quick"), key=lambda name: runs.means[name]["nDCG@10"])
    assert best_buys(runs)[0] == best
    assert summary_of_comparison(runs)[0][1].endswith("no other seems better than these.")


def test_the_front_has_what_nothing_beats_in_both() -> None:
    runs = compared(("bm25", 0.0, 1.0), ("dear", 0.05, 50.0), ("worse", -0.1, 60.0), ("hybrid", 0.2, 20.0))
    front, dots = cost_front(runs, list(runs.runs))["data"]
    assert front["x"] == [1.0, 20.0, 60.0]
    assert front["y"][1] == front["y"][2] == pytest.approx(runs.means["hybrid"]["nDCG@10"])
    assert [text.strip() for text in dots["text"]] == ["bm25", "hybrid", "dear", "worse"]
    low, high = runs.ci95["bm25"]["nDCG@10"] or (0, 0)
    assert dots["error_y"]["array"][0] == pytest.approx(high - runs.means["bm25"]["nDCG@10"])
    assert dots["error_y"]["arrayminus"][0] == pytest.approx(runs.means["bm25"]["nDCG@10"] - low)


def test_the_page_of_a_comparison_decides_first() -> None:
    page = render_comparison(compared(("slow", 0.1, 90.0), ("quick", 0.1, 9.0)))
    assert page.index("What to use") < page.index("Means by run") < page.index('id="plot-costs"')
    assert "What more questions would buy" in page
    assert 'id="plot-costs"' not in render_comparison(compared(("slow", 0.1, 90.0), ("quick", 0.1, None)))


def test_four_times_the_questions_halve_the_interval() -> None:
    values = np.array([0.0, 1.0] * 50)
    half = half_width(values, 100)
    assert half == pytest.approx(1.96 * values.std(ddof=1) / 10, rel=1e-4)
    assert half_width(values, 400) == pytest.approx(half / 2)
    assert questions_for(values, half) in (100, 101)
    rows, figure = more_questions(values) or ([], {})
    assert [row[0] for row in rows if "this run" in row[0]] == ["100 (this run)"]
    assert f"\u00b1 {half / 2:.3f}" in {row[1] for row in rows}
    assert figure["data"][1]["x"] == [100]


@pytest.mark.parametrize("values", [[0.4], [0.5, 0.5, 0.5]])
def test_where_nothing_varies_nothing_is_said(values: list[float]) -> None:
    assert more_questions(np.array(values)) is None


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    return read_metrics(write_fake_run(tmp_path_factory.mktemp("run")))


PIPELINE: dict[str, Any] = {
    "retriever": {"type": "hybrid", "retrievers": [{"type": "bm25"}, {"type": "dense"}]},
    "stages": [{"type": "rerank", "scorer": {"type": "max_sim"}}, {"type": "threshold"}],
}


def test_the_picture_has_what_leaves_each_step(record: Metrics) -> None:
    picture = steps(record, PIPELINE)
    assert [(step.name, list(step.parts)) for step in picture] == [
        ("hybrid", ["bm25", "dense"]),
        ("rerank", ["max_sim"]),
        ("threshold", []),
    ]
    assert [step.left for step in picture] == [stage.candidates for stage in record.stages]
    assert math.isclose(sum(step.share for step in picture), 1)
    assert [step.losses.recall for step in picture if step.losses] == [s.recall for s in record.attribution.stages]


def test_a_picture_of_another_pipeline_has_the_names_of_the_run(record: Metrics) -> None:
    assert [step.name for step in steps(record, {})] == [stage.name for stage in record.stages]


def test_the_summary_names_stages_that_win_lose_or_cost_without_a_gain(record: Metrics) -> None:
    names = [stage.name for stage in record.stages]
    changes = [
        StageChange(name=names[0], value=0.6),
        StageChange(name=names[1], value=0.61, change=0.01, ci95=(-0.01, 0.03)),
        StageChange(name=names[2], value=0.5, change=-0.11, ci95=(-0.2, -0.05)),
    ]
    changed = record.model_copy(update={"changes": changes})
    values = np.random.default_rng(0).uniform(size=120)
    said = dict(summary_of_run(changed, values, steps(changed, PIPELINE)))
    assert "and no gain by it is sure (+0.010, -0.010 to +0.030)" in said["What its stages win"]
    assert "threshold lowers it (-0.110, -0.200 to -0.050)" in said["What its stages win"]
    assert said["What it costs"].startswith("41.3\u00a0ms a question (median, each alone), 60 calls of a scorer")
    assert said["How sure that is"].startswith("\u00b1 0.05")


@pytest.mark.parametrize(
    ("link", "shown"),
    [("https://a.b/c", "https://a.b/c"), ("javascript:alert(1)", ""), ("notes/a.md", ""), (None, ""), ("", "")],
)
def test_only_pages_of_the_web_are_linked(link: str | None, shown: str) -> None:
    assert address(link) == shown


def test_documents_with_an_address_are_linked(tmp_path: Path) -> None:
    queries = fake_queries(3)
    for query in queries:
        for hit in query["returned"]:
            hit["link"] = "https://example.org/a?b=1&c=2"
    page = render_report(write_fake_run(tmp_path, queries))
    assert '<a href="https://example.org/a?b=1&amp;c=2" rel="noreferrer">' in page
