"""The report as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.eval.reports.report import write_report
from tests.e2e.chromium import COLLAPSED, SCROLLING, SHADED, Chromium, find_chromium
from tests.fake_runs import MEASURES, fake_filter, fake_queries, write_fake_run

BINARY = find_chromium()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs a chromium or chrome on the PATH (Debian: apt-get install chromium)"
)

CELLS = "[...document.querySelectorAll('#all tbody tr')].map(row => row.cells[{column}].textContent)"
SORTED = "document.querySelectorAll('#all th')[{column}].getAttribute('aria-sort')"

# True when every figure is drawn.
DRAWN = "drawn"
SCRIPTS = "[...document.scripts].filter((script) => !script.type).length"
OPENED = "new Promise(done => setTimeout(() => done(document.getElementById('query').open), 200))"
FILL = """(field => {{
  field.value = {value!r};
  field.dispatchEvent(new Event({event!r}));
}})(document.querySelector({field!r}))"""

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
    const bar = element.matches(".bartext-inside") && element.closest(".point").querySelector("path");
    const page = getComputedStyle(behind ?? document.documentElement).backgroundColor;
    const ground = parse(bar ? getComputedStyle(bar).fill : page);
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
    assert browser.evaluate(DRAWN)
    assert browser.evaluate("document.title") == "scifact / test"
    assert complaints(browser) == []
    urls = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [report]


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
    assert browser.evaluate(DRAWN)
    browser.evaluate("document.querySelector('#all button.open').click()")
    assert browser.evaluate(OPENED)
    assert complaints(browser) == []
    assert browser.evaluate(f"[{SCRIPTS}, document.images.length]") == [2, 0]  # ours and Plotly
    assert browser.evaluate("[...document.links].every(link => /^#|^file:/.test(link.getAttribute('href')))")
    assert evil in browser.evaluate("document.querySelector('h1').textContent")
    assert evil in browser.evaluate("document.getElementById('query-title').textContent")
    assert "<script>alert(4)</script>" in browser.evaluate("document.querySelector('#query .id').textContent")
    assert "</title></script>" in browser.evaluate("document.querySelector('#plot-curve-1 .legend').textContent")


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
    assert browser.evaluate("document.querySelectorAll('#all [aria-sort]').length") == 1


def test_table_sorts_text_with_numbers_in_it_naturally(browser: Chromium, tmp_path: Path) -> None:
    queries = [query | {"query_id": f"q{number}"} for number, query in enumerate(fake_queries(12))]
    browser.open(write_report(write_fake_run(tmp_path, queries)).as_uri())
    browser.evaluate("document.querySelector('#all th button').click()")
    assert [f"q{number}" for number in range(12)] == browser.evaluate(CELLS.format(column=0))


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_table_sorts_by_keyboard(browser: Chromium, report: str, key: str) -> None:
    browser.open(report)
    browser.evaluate("document.getElementById('all-filter').focus()")
    for _ in range(6):  # failure mode, score, the region that scrolls, Id, Query, nDCG@10
        browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "nDCG@10"
    browser.press(key)
    assert browser.evaluate(SORTED.format(column=2)) == "descending"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_table_filters_by_words_in_any_order(browser: Chromium, report: str) -> None:
    browser.open(report)
    assert browser.evaluate("document.querySelector('.tools output').textContent") == "120 of 120"
    browser.evaluate(FILL.format(field="#all-filter", value="STROKE aspirin", event="input"))
    questions = browser.evaluate(CELLS.format(column=1))
    assert questions
    assert all("stroke" in text and "Aspirin" in text for text in questions)
    assert browser.evaluate("document.querySelector('.tools output').textContent") == f"{len(questions)} of 120"
    browser.evaluate("document.querySelectorAll('#all th button')[2].click()")
    assert len(questions) == len(browser.evaluate(CELLS.format(column=1)))
    browser.evaluate(FILL.format(field="#all-filter", value="", event="input"))
    assert len(browser.evaluate(CELLS.format(column=1))) == 120


def test_a_link_unfolds_the_query_and_printing_unfolds_all(browser: Chromium, report: str) -> None:
    count = "document.querySelectorAll('details.case[open]').length"
    browser.open(report)
    assert browser.evaluate(count) == 1
    browser.evaluate("location.hash = '#worst-3'")
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
    assert browser.evaluate("getComputedStyle(document.querySelector('#all th button'), '::after').display") == "none"
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
def test_figures_fill_their_frames(browser: Chromium, report: str, width: int) -> None:
    browser.open(report, width=width)
    assert browser.evaluate(DRAWN)
    frames = browser.evaluate(
        """[...document.querySelectorAll('.plot')].map(plot => {
          const frame = plot.getBoundingClientRect(), drawn = plot.querySelector('.main-svg').getBoundingClientRect();
          const marks = plot.querySelectorAll('.point, .js-line').length;
          return [plot.id, frame.width, drawn.width, frame.height, frame.right, marks];
        })"""
    )
    assert [frame[0] for frame in frames] == [
        "plot-distribution",
        "plot-questions",
        "plot-recall",
        "plot-curve-1",
        "plot-reliability-1",
        "plot-kept-1",
    ]
    for _, wide, drawn, high, right, marks in frames:
        assert wide == pytest.approx(drawn, abs=1)
        assert wide >= 250
        assert high >= 250
        assert right <= width
        assert marks >= 2


def test_figures_follow_the_colors_of_the_page(browser: Chromium, report: str) -> None:
    browser.open(report)
    assert browser.evaluate(DRAWN)
    fill = "getComputedStyle(document.querySelector('#plot-distribution .point path')).fill"
    assert browser.evaluate(fill) == "rgb(36, 86, 166)"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.evaluate("new Promise(done => setTimeout(done, 200))")
    assert browser.evaluate(fill) == "rgb(138, 180, 245)"
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")  # paper is white
    assert browser.evaluate(fill) == "rgb(36, 86, 166)"
    assert (
        browser.evaluate("document.querySelector('#plot-distribution .main-svg').getBoundingClientRect().width") == 640
    )
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate(fill) == "rgb(138, 180, 245)"
    assert complaints(browser) == []


def test_any_query_opens_by_click_to_what_every_stage_returned(browser: Chromium, report: str) -> None:
    browser.open(report)
    rows = browser.evaluate("document.querySelectorAll('#all tbody tr').length")
    assert rows == browser.evaluate("document.querySelectorAll('#all tbody button.open').length")
    for row in (0, 57, 119):
        browser.evaluate(f"document.querySelectorAll('#all tbody button.open')[{row}].click()")
        assert browser.evaluate(OPENED)
        asked = browser.evaluate(f"document.querySelectorAll('#all tbody .question')[{row}].textContent")
        assert asked == browser.evaluate("document.getElementById('query-title').textContent")
        stages = browser.evaluate("[...document.querySelectorAll('.stages-of h3')].map(one => one.textContent)")
        assert stages == ["retriever", "stages.0 rerank", "stages.1 threshold"]
        lists = browser.evaluate("[...document.querySelectorAll('.stages-of ol')].map(one => one.children.length)")
        assert len(lists) == 3
        assert set(lists) <= {4, 10}
        heads = browser.evaluate("[...document.querySelectorAll('#query thead th')].map(one => one.textContent)")
        assert heads == ["Document", "Grade", *stages]
        browser.evaluate("document.querySelector('#query .close').click()")
        assert not browser.evaluate(OPENED)
    assert complaints(browser) == []


def test_worst_queries_and_those_of_a_mode_open_too(browser: Chromium, report: str) -> None:
    browser.open(report)
    texts = browser.evaluate(CELLS.format(column=1))
    for selector, row in (("#worst-3 .opens", 2), (".modes section:nth-child(2) .opens", 0)):
        browser.evaluate(f"document.querySelector({selector!r}).firstChild.click()")
        assert browser.evaluate(OPENED)
        assert texts[row] == browser.evaluate("document.getElementById('query-title').textContent")
        browser.press("Escape")
    assert complaints(browser) == []


def test_a_query_opens_steps_and_closes_by_keyboard(browser: Chromium, report: str) -> None:
    browser.open(report)
    browser.evaluate("document.querySelectorAll('#all tbody button.open')[4].focus()")
    browser.press("Enter")
    assert browser.evaluate(OPENED)
    title = "document.getElementById('query-title').textContent"
    texts = browser.evaluate(CELLS.format(column=1))
    assert texts[4] == browser.evaluate(title)
    browser.press("ArrowRight")
    assert browser.evaluate(OPENED)
    assert texts[5] == browser.evaluate(title)
    browser.press("Escape")
    assert not browser.evaluate(OPENED)
    assert texts[4] == browser.evaluate("document.activeElement.textContent")


def test_keys_reach_a_query_at_either_end_of_the_table(browser: Chromium, report: str) -> None:
    browser.open(report)
    title = "document.getElementById('query-title').textContent"
    texts = browser.evaluate(CELLS.format(column=1))
    browser.evaluate("document.querySelectorAll('#all tbody button.open')[118].focus()")
    browser.press("Enter")
    assert browser.evaluate(OPENED)
    browser.press("Tab")  # from Previous on to Next, which ends at the last
    assert browser.evaluate("document.activeElement.textContent") == "Next →"
    browser.press("Enter")
    assert texts[119] == browser.evaluate(title)
    assert browser.evaluate("document.activeElement.textContent") == "← Previous"
    browser.press("ArrowLeft")
    assert texts[118] == browser.evaluate(title)
    # A table that has the focus scrolls; it does not step.
    browser.evaluate("document.querySelector('#query .scroll').focus()")
    browser.press("ArrowRight")
    assert texts[118] == browser.evaluate(title)
    browser.press("Escape")
    assert texts[118] == browser.evaluate("document.activeElement.textContent")


def test_the_table_searches_words_and_not_figures(browser: Chromium, report: str) -> None:
    browser.open(report)
    ids = [query["query_id"] for query in fake_queries() if "10" in query["query_id"]]
    browser.evaluate(FILL.format(field="#all-filter", value="10", event="input"))
    assert ids == sorted(browser.evaluate(CELLS.format(column=0)))


def test_table_filters_by_failure_mode_and_by_a_bar_of_the_histogram(browser: Chromium, report: str) -> None:
    browser.open(report)
    assert browser.evaluate(DRAWN)
    count = "document.querySelector('.tools output').textContent"
    cut = sum(any(fault["mode"] == "cut" for fault in query["failures"]) for query in fake_queries())
    assert (
        browser.evaluate("document.querySelector('select[name=modes] option:nth-child(3)').textContent")
        == f"cut by stages.0 rerank ({cut})"
    )
    browser.evaluate(FILL.format(field="select[name=modes]", value="1", event="change"))
    assert browser.evaluate(count) == f"{cut} of 120"
    assert set(browser.evaluate(CELLS.format(column=2))) == {"0.000"}
    browser.evaluate(FILL.format(field="select[name=modes]", value="", event="change"))
    x, y = browser.evaluate("""(() => {
      document.getElementById("plot-distribution").scrollIntoView({ block: "center" });
      const bar = [...document.querySelectorAll("#plot-distribution .point")].at(-1).getBoundingClientRect();
      return [bar.x + bar.width / 2, bar.y + bar.height / 2];
    })()""")
    for type, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
        where = {"x": x, "y": y, "button": "left" if type != "mouseMoved" else "none", "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=type, buttons=buttons, **where)
        browser.evaluate("new Promise(done => setTimeout(done, 150))")
    best = sum(query["nDCG@10"] >= 0.95 for query in fake_queries())
    assert browser.evaluate(count) == f"{best} of 120"
    assert complaints(browser) == []


def test_an_opened_query_fits_a_telephone(browser: Chromium, report: str, tmp_path: Path) -> None:
    browser.open(report, width=390, dark=True)
    browser.evaluate("document.querySelector('#all tbody button.open').click()")
    assert browser.evaluate(OPENED)
    assert browser.evaluate("(one => one.scrollWidth <= one.clientWidth)(document.getElementById('query'))")
    assert browser.evaluate("document.documentElement.scrollWidth") == 390
    contrast, text = browser.evaluate(WORST_CONTRAST.replace("document.body", "document.getElementById('query')"))
    assert contrast >= 4.5, text


def test_a_run_without_stages_opens_too(browser: Chromium, tmp_path: Path) -> None:
    browser.open(write_report(write_fake_run(tmp_path, old=True)).as_uri())
    browser.evaluate("document.querySelectorAll('#all tbody button.open')[100].click()")
    assert browser.evaluate(OPENED)
    assert browser.evaluate("[...document.querySelectorAll('.stages-of h3')].map(one => one.textContent)") == [
        "returned"
    ]
    assert complaints(browser) == []


def test_without_scripts_the_page_is_complete(browser: Chromium, report: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report)
        assert browser.evaluate("document.querySelectorAll('button:not(dialog *)').length") == 0
        assert browser.evaluate("document.querySelectorAll('details.case').length") == 10
        assert browser.evaluate("document.querySelectorAll('#all tbody tr').length") == 120
        assert browser.evaluate("[...document.querySelectorAll('.tools')].every(one => !one.checkVisibility())")
        assert browser.evaluate("[...document.querySelectorAll('.plot')].every(one => !one.checkVisibility())")
        assert browser.evaluate("document.querySelectorAll('details.numbers, #lost ~ .scroll table').length - 1") == 6
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast(browser: Chromium, report: str, dark: bool) -> None:
    browser.open(report, dark=dark)
    assert browser.evaluate(DRAWN)
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_telephone_no_column_collapses_and_what_scrolls_shows_it(
    browser: Chromium, report: str, dark: bool
) -> None:
    browser.open(report, width=390, dark=dark)
    assert browser.evaluate(DRAWN)
    assert browser.evaluate(COLLAPSED) == []
    assert browser.evaluate(f"{SCROLLING}.length") > 0
    assert browser.evaluate(f"{SHADED}.length") == browser.evaluate(f"{SCROLLING}.length")
