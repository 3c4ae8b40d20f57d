"""The report as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.report import write_report
from tests.e2e.chromium import Chromium, find_chromium
from tests.fake_runs import MEASURES, fake_filter, fake_queries, write_fake_run

BINARY = find_chromium()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs a chromium or chrome on the PATH (Debian: apt-get install chromium)"
)

CELLS = "[...document.querySelectorAll('#all tbody tr')].map(row => row.cells[{column}].textContent)"
SORTED = "document.querySelectorAll('#all th')[{column}].getAttribute('aria-sort')"

# The contrast of every piece of text with what is painted behind it, by WCAG 2; the worst, with the text.
WORST_CONTRAST = """
(() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  let worst = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, element = text.parentElement, style = getComputedStyle(element);
    if (!text.data.trim() || !element.checkVisibility() || element.closest("script, title, desc")) continue;
    let behind = element;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const ground = parse(getComputedStyle(behind ?? document.documentElement).backgroundColor);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [dark, light] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < worst[0]) worst = [contrast, text.data.trim()];
  }
  return worst;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert BINARY
    with Chromium(BINARY, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_fake_run(tmp_path_factory.mktemp("run"))).as_uri()


def complaints(browser: Chromium) -> list[object]:
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")
    return [event for kind in kinds for event in browser.seen(kind)]


def test_opens_without_complaint_and_asks_the_network_for_nothing(browser: Chromium, report: str) -> None:
    browser.open(report)
    browser.evaluate("new Promise(done => setTimeout(done, 100))")
    assert browser.evaluate("document.title") == "scifact / test"
    assert complaints(browser) == []
    urls = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert [report] == [url for url in urls if not url.startswith("data:")]


def test_hostile_text_runs_nothing(browser: Chromium, tmp_path: Path) -> None:
    evil = "</title></script></style><script>alert(1)</script><img src=x onerror=alert(2)><a href=javascript:alert(3)>"
    queries = fake_queries(2)
    queries[0].update(
        query=evil, query_id=evil, metadata='{"<script>alert(4)</script>": 1}', **dict.fromkeys(MEASURES, 0.0)
    )
    queries[0]["returned"][0].update(title=evil, passage=evil)
    run = write_fake_run(
        tmp_path, queries, dataset=evil, notes=[evil], versions={evil: evil}, filters=[fake_filter(evil, name=evil)]
    )
    browser.open(write_report(run).as_uri())
    assert complaints(browser) == []
    assert browser.evaluate("[document.scripts.length, document.images.length]") == [1, 0]
    assert evil in browser.evaluate("document.querySelector('h1').textContent")


def test_the_policy_stops_a_script_that_is_not_ours(browser: Chromium, report: str) -> None:
    browser.open(report)
    ran = """(() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      return 'ran' in window;
    })()"""
    assert browser.evaluate(ran) is False


def test_table_sorts_by_mouse(browser: Chromium, report: str) -> None:
    browser.open(report)
    assert browser.evaluate(SORTED.format(column=2)) == "ascending"
    for column, direction in ((2, "descending"), (2, "ascending"), (7, "ascending"), (7, "descending")):
        browser.evaluate(f"document.querySelectorAll('#all th button')[{column}].click()")
        values = [float(value) for value in browser.evaluate(CELLS.format(column=column))]
        assert values == sorted(values, reverse=direction == "descending")
        assert len(values) == 120
        assert direction == browser.evaluate(SORTED.format(column=column))
    assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_table_sorts_text_with_numbers_in_it_naturally(browser: Chromium, tmp_path: Path) -> None:
    queries = [query | {"query_id": f"q{number}"} for number, query in enumerate(fake_queries(12))]
    browser.open(write_report(write_fake_run(tmp_path, queries)).as_uri())
    browser.evaluate("document.querySelector('#all th button').click()")
    assert [f"q{number}" for number in range(12)] == browser.evaluate(CELLS.format(column=0))


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_table_sorts_by_keyboard(browser: Chromium, report: str, key: str) -> None:
    browser.open(report)
    browser.evaluate("document.getElementById('filter').focus()")
    for _ in range(4):  # the region that scrolls, Id, Query, nDCG@10
        browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "nDCG@10"
    browser.press(key)
    assert browser.evaluate(SORTED.format(column=2)) == "descending"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_table_filters_by_words_in_any_order(browser: Chromium, report: str) -> None:
    browser.open(report)
    assert browser.evaluate("document.getElementById('count').textContent") == "120 of 120"
    fill = (
        "(field => { field.value = %r; field.dispatchEvent(new Event('input')); })(document.getElementById('filter'))"
    )
    browser.evaluate(fill % "STROKE aspirin")
    found = browser.evaluate(CELLS.format(column=1))
    assert found
    assert all("stroke" in text and "Aspirin" in text for text in found)
    assert f"{len(found)} of 120" == browser.evaluate("document.getElementById('count').textContent")
    browser.evaluate("document.querySelectorAll('#all th button')[2].click()")
    assert len(found) == len(browser.evaluate(CELLS.format(column=1)))
    browser.evaluate(fill % "")
    assert len(browser.evaluate(CELLS.format(column=1))) == 120


def test_a_link_unfolds_the_query_and_printing_unfolds_all(browser: Chromium, report: str) -> None:
    count = "document.querySelectorAll('details[open]').length"
    browser.open(report)
    assert browser.evaluate(count) == 1
    browser.evaluate("document.querySelector('#all a[href=\"#worst-3\"]').click()")
    browser.evaluate("new Promise(done => setTimeout(done, 50))")
    assert browser.evaluate("document.getElementById('worst-3').open")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate(count) == 10
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate(count) == 2


def test_on_paper_the_long_table_is_cut_and_says_so(browser: Chromium, report: str) -> None:
    browser.open(report, media="print", dark=True)
    shown = "[...document.querySelectorAll('#all tbody tr')].filter(row => row.checkVisibility()).length"
    assert browser.evaluate(shown) == 40
    assert "Printed: the first 40 rows." in browser.evaluate("document.querySelector('.print-only').innerText")
    assert browser.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_out_of_the_page(browser: Chromium, tmp_path: Path, width: int, dark: bool) -> None:
    queries = fake_queries(30)
    queries[0].update(query="x" * 300, query_id="i" * 300, **dict.fromkeys(MEASURES, 0.0))
    queries[0]["returned"][0].update(title="t" * 300, passage="p" * 500)
    run = write_fake_run(
        tmp_path,
        queries,
        dataset="d" * 120,
        notes=["n" * 200],
        config_fingerprint="f" * 200,
        filters=[fake_filter("e" * 300, name="s" * 120)],
    )
    browser.open(write_report(run).as_uri(), width=width, dark=dark)
    assert width == browser.evaluate("document.documentElement.scrollWidth")
    assert complaints(browser) == []
    shot = browser.screenshot(tmp_path / "page.png")
    assert shot.read_bytes().startswith(b"\x89PNG")


def test_wide_tables_scroll_in_their_own_box(browser: Chromium, report: str) -> None:
    browser.open(report, width=390)
    assert browser.evaluate("(box => box.scrollWidth > box.clientWidth)(document.getElementById('all').parentElement)")
    # Every box that can scroll can be reached without a mouse.
    assert browser.evaluate(
        "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0 && box.ariaLabel)"
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_drawings_of_a_filter_fill_their_frames(browser: Chromium, report: str, width: int) -> None:
    browser.open(report, width=width)
    frames = browser.evaluate(
        """[...document.querySelectorAll('.plot')].map(plot => {
          const frame = plot.getBoundingClientRect();
          const inner = [...plot.querySelectorAll('polyline, circle.dot')].map(one => one.getBoundingClientRect());
          const beyond = side => inner.map(one => one[side] - frame[side]);
          return [frame.width, frame.height, frame.right, inner.length, Math.min(...beyond('left')),
            Math.max(...beyond('right')), Math.min(...beyond('top')), Math.max(...beyond('bottom'))];
        })"""
    )
    assert [3, 10] == [frame[3] for frame in frames]  # two curves and the threshold; ten bins
    for wide, high, right, _, *beyond in frames:
        assert wide >= 250
        assert high >= 250
        assert right <= width
        assert min(beyond[0::2]) >= -9  # a dot may overlap the frame by its radius
        assert max(beyond[1::2]) <= 9
    curve = browser.evaluate("document.querySelector('.line').getBoundingClientRect().width")
    assert curve == pytest.approx(frames[0][0], rel=0.02)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast(browser: Chromium, report: str, dark: bool) -> None:
    browser.open(report, dark=dark)
    contrast, text = browser.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, text
    ground = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark == (int(ground.removeprefix("rgb(").split(",")[0]) < 128)


def test_a_thousand_queries_sort_at_once(browser: Chromium, tmp_path: Path) -> None:
    browser.open(write_report(write_fake_run(tmp_path, fake_queries(1000))).as_uri())
    milliseconds = browser.evaluate("""(() => {
      const start = performance.now();
      for (const button of document.querySelectorAll('#all th button')) {
        button.click();
        document.getElementById('all').getBoundingClientRect();
      }
      return (performance.now() - start) / document.querySelectorAll('#all th button').length;
    })()""")
    assert len(browser.evaluate(CELLS.format(column=0))) == 1000
    assert milliseconds < 2000, f"{milliseconds:.0f} ms a sort"
