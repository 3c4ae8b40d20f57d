"""A comparison as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.eval import RunValues, compare_runs, write_comparison
from tests.e2e.chromium import COLLAPSED, SCROLLING, SHADED, Chromium, find_chromium
from tests.e2e.test_report_browser import DRAWN, FILL, SCRIPTS, WORST_CONTRAST, complaints

BINARY = find_chromium()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs a chromium or chrome on the PATH (Debian: apt-get install chromium)"
)

EVIL = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>" + "n" * 90


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert BINARY
    with Chromium(BINARY, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    base = rng.beta(2, 2, size=(80, 2))
    runs = [
        RunValues(
            name,
            {
                measure: {f"q{n}": float(v) for n, v in enumerate(base[:, column] + rng.normal(shift, 0.05, 80))}
                for column, measure in enumerate(("nDCG@10", "AP"))
            },
            notes=[f"{name} has a note"],
        )
        for name, shift in (("bm25", 0.0), ("dense", 0.1), (EVIL, 0.02))
    ]
    folder: Path = write_comparison(compare_runs(runs), tmp_path_factory.mktemp("compared") / "out")
    return (folder / "compare.html").as_uri()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_within_the_page_and_asks_for_nothing(browser: Chromium, page: str, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.evaluate(DRAWN)
    assert complaints(browser) == []
    urls = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [page]
    assert width == browser.evaluate("document.documentElement.scrollWidth")
    assert browser.evaluate(f"[{SCRIPTS}, document.images.length]") == [2, 0]  # ours and Plotly
    contrast, text = browser.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, text


def test_tables_sort_by_number_and_by_text(browser: Chromium, page: str) -> None:
    browser.open(page)
    cells = "[...document.querySelectorAll('table')[1].tBodies[0].rows].map(row => row.cells[{}].textContent)"
    click = "document.querySelectorAll('table')[1].tHead.rows[0].cells[{}].querySelector('button').click()"
    for direction in (False, True):
        browser.evaluate(click.format(3))
        values = [float(value) for value in browser.evaluate(cells.format(3))]
        assert sorted(values, reverse=direction) == values
        assert len(values) == 3
    browser.evaluate(click.format(1))
    names = browser.evaluate(cells.format(1))
    assert sorted(names) == names


def test_differences_by_query_follow_what_is_chosen(browser: Chromium, page: str) -> None:
    browser.open(page)
    assert browser.evaluate(DRAWN)
    bars = "document.getElementById('plot-differences').data[0]"
    column = "[...document.querySelectorAll('#differences tbody tr')].map(row => Number(row.cells[3].textContent))"
    heads = "[...document.querySelectorAll('#differences th')].map(one => one.textContent)"
    first = browser.evaluate(f"{bars}.y")
    assert len(first) == 80
    assert sorted(first, reverse=True) == first
    assert first == pytest.approx(browser.evaluate(column), abs=0.001)
    assert browser.evaluate(heads) == ["Query", "bm25", "dense", "Difference"]
    browser.evaluate(FILL.format(field="#pair", value="2", event="change"))
    browser.evaluate(FILL.format(field="#measure", value="1", event="change"))
    chosen = browser.evaluate(f"{bars}.y")
    assert chosen != first
    assert chosen == pytest.approx(browser.evaluate(column), abs=0.001)
    assert EVIL[:30] in browser.evaluate(f"{bars}.hovertext[0]").replace("&lt;", "<").replace("&gt;", ">")
    assert "<script" not in browser.evaluate(f"{bars}.hovertext[0]")
    browser.evaluate(FILL.format(field="#differences-filter", value="q17", event="input"))
    assert browser.evaluate("document.querySelector('.tools output').textContent") == "1 of 80"
    assert complaints(browser) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_telephone_no_column_collapses_and_what_scrolls_shows_it(browser: Chromium, page: str, dark: bool) -> None:
    browser.open(page, width=390, dark=dark)
    assert browser.evaluate(DRAWN)
    assert browser.evaluate(COLLAPSED) == []
    assert browser.evaluate(f"{SCROLLING}.length") > 0
    assert browser.evaluate(f"{SHADED}.length") == browser.evaluate(f"{SCROLLING}.length")
