"""The report of a sweep as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plotly import graph_objects

import rag.templates
from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset
from rag.hpo import Categorical, FloatRange, IntRange, tune
from rag.hpo.results.report import render_report
from rag.hpo.sweep import sweep_from_config
from tests.e2e.chromium import COLLAPSED, SCROLLING, SHADED, Chromium, find_chromium
from tests.e2e.test_report_browser import DRAWN, FILL, SCRIPTS, WORST_CONTRAST, complaints
from tests.unit.eval.reports.test_report import colors, data_of

BINARY = find_chromium()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs a chromium or chrome on the PATH (Debian: apt-get install chromium)"
)

DATA = Path(rag.templates.__file__).parent / "starter" / "data"
EVIL = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>"
PIPELINE = {
    "type": "pipeline",
    "retriever": {
        "type": "bm25",
        "k1": FloatRange(low=0.1, high=3.0),
        "stemmer": Categorical(choices=["english", None]),
        "top_k": IntRange(low=1, high=20),
    },
    "stages": [],
}
FIGURES = {
    "one": {"plot-progress", "plot-importance", "plot-parallel", "plot-map"},
    "two": {"plot-front", "plot-importance", "plot-parallel", "plot-map"},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert BINARY
    with Chromium(BINARY, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module", params=FIGURES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Which sweep, of one objective or of two, and where its report is."""
    starter = load_dataset(DATA)
    dataset = Dataset(EVIL, starter.corpus, {"dev": starter.splits["train"], "test": starter.splits["test"]})
    objectives = ["nDCG@10"] if request.param == "one" else ["nDCG@10", "index_bytes"]
    asked = {"pipeline": PIPELINE, "sampler": "random", "n_trials": 12, "objectives": objectives}
    path = tmp_path_factory.mktemp("sweep") / "report.html"
    path.write_text(render_report(tune(sweep_from_config(asked), dataset)), encoding="utf-8")
    return request.param, path.as_uri()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_figures_are_drawn_within_the_page(browser: Chromium, page: tuple[str, str], width: int, dark: bool) -> None:
    which, url = page
    browser.open(url, width=width, dark=dark)
    assert browser.evaluate(DRAWN)
    assert complaints(browser) == []
    urls = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert [address for address in urls if not address.startswith("data:")] == [url]
    assert width == browser.evaluate("document.documentElement.scrollWidth")
    drawn = browser.evaluate(
        "[...document.querySelectorAll('.plot')].filter(one => one.querySelector('.main-svg')).map(one => one.id)"
    )
    assert FIGURES[which] <= set(drawn)
    assert browser.evaluate(f"[{SCRIPTS}, document.images.length]") == [2, 0]
    contrast, text = browser.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, text


def test_figures_are_what_plotly_takes_and_show_every_trial(page: tuple[str, str]) -> None:
    which, url = page
    html = Path(url.removeprefix("file://")).read_text(encoding="utf-8")
    figures = data_of(html)["figures"]
    for figure in figures.values():
        graph_objects.Figure(colors(figure))
        assert {trace["type"] for trace in figure["data"]} <= {"scatter", "bar", "heatmap", "contour"}
    assert len(figures["plot-parallel"]["data"]) == 12
    assert len(figures["plot-map"]["data"][1]["x"]) == 12
    if which == "one":
        assert len(figures["plot-progress"]["data"][1]["x"]) == 12
        line = figures["plot-progress"]["data"][0]["y"]
        assert sorted(line) == line  # the best so far only rises
    else:
        dots, _, front, rings = figures["plot-front"]["data"]
        assert len(dots["x"]) + len(front["x"]) == 12
        assert len(rings["x"]) == len(front["x"]) > 0


def test_the_trials_sort_and_filter(browser: Chromium, page: tuple[str, str]) -> None:
    browser.open(page[1])
    numbers = "[...document.querySelectorAll('#trials-table tbody tr')].map(row => Number(row.cells[0].textContent))"
    browser.evaluate("document.querySelector('#trials-table th button').click()")
    assert list(range(12)) == browser.evaluate(numbers)
    browser.evaluate(FILL.format(field="#trials-table-filter", value="stemmer: none", event="input"))
    rows = browser.evaluate(numbers)
    assert 0 < len(rows) < 12
    assert browser.evaluate("document.querySelector('.tools output').textContent") == f"{len(rows)} of 12"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_telephone_no_column_collapses_and_what_scrolls_shows_it(
    browser: Chromium, page: tuple[str, str], dark: bool
) -> None:
    browser.open(page[1], width=390, dark=dark)
    assert browser.evaluate(DRAWN)
    assert browser.evaluate(COLLAPSED) == []
    assert browser.evaluate(f"{SCROLLING}.length") > 0
    assert browser.evaluate(f"{SHADED}.length") == browser.evaluate(f"{SCROLLING}.length")
