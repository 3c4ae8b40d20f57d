"""A comparison as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eval import RunValues, compare_runs, write_comparison
from tests.e2e.chromium import Chromium, find_chromium
from tests.e2e.test_report_browser import WORST_CONTRAST, complaints

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
    assert [] == complaints(browser)
    urls = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert [page] == [url for url in urls if not url.startswith("data:")]
    assert width == browser.evaluate("document.documentElement.scrollWidth")
    assert [1, 0] == browser.evaluate("[document.scripts.length, document.images.length]")
    contrast, text = browser.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, text


def test_tables_sort_by_number_and_by_text(browser: Chromium, page: str) -> None:
    browser.open(page)
    cells = "[...document.querySelectorAll('table')[1].tBodies[0].rows].map(row => row.cells[{}].textContent)"
    click = "document.querySelectorAll('table')[1].tHead.rows[0].cells[{}].querySelector('button').click()"
    for direction in (False, True):
        browser.evaluate(click.format(2))
        values = [float(value) for value in browser.evaluate(cells.format(2))]
        assert sorted(values, reverse=direction) == values
        assert 3 == len(values)
    browser.evaluate(click.format(1))
    names = browser.evaluate(cells.format(1))
    assert sorted(names) == names
