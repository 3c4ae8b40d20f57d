from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plotly import graph_objects

import rag.hpo
from rag.errors import ArtifactError
from rag.eval.diagnostics.attribution import NOT_IN_CORPUS
from rag.eval.reports.markdown import as_markdown
from rag.eval.reports.pages import number, percent, seconds
from rag.eval.reports.query_details import query_details
from rag.eval.reports.report import render_report, write_report
from rag.eval.runs.reading import read_run_values
from tests.fake_runs import MEASURES, fake_filter, fake_queries, write_fake_run

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} \u202ebackwards\x01"
TEMPLATES = Path(sys.modules["rag.eval.reports.report"].__file__ or "").parent / "templates"
_VOID = {"meta", "link", "input", "rect", "line", "circle", "img", "br"}


class Page(HTMLParser):
    """Elements of a page as (tag, attributes), its text, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert tag == self.open.pop(), f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", page.text)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_fake_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_is_well_formed_and_named_after_dataset_and_split(page: Page, html: str) -> None:
    assert page.open == []
    assert "<title>scifact / test</title>" in html
    assert html.lower().lstrip().startswith("<!doctype html>")


def test_needs_nothing_from_elsewhere(page: Page, html: str) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", f"<{tag} {name}={value}>"
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    policy = page.all("meta")[1]["content"]
    assert policy
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_links_and_labels_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert sorted(set(ids)) == sorted(ids)
    for _, attributes in page.elements:
        href = attributes.get("href") or ""
        for names in (href.removeprefix("#"), attributes.get("for"), attributes.get("aria-labelledby")):
            assert href == "data:," or set((names or "").split()) <= set(ids)


def test_shows_the_numbers(page: Page) -> None:
    text = text_of(page)
    for wanted in (
        "120 judged queries",
        "nDCG@10 of 0.646",
        "0.593 – 0.699",
        "41.3 ms",
        "78.9 ms",
        "31.3/s",
        "5,183",
        "11,216 passages",
        "7,200 scorer calls, 120 texts embedded",
        ", 89 %",
        "1 min 24 s",
        "3 of the judged documents are not in the corpus",
        "9f2c61d07ab84e31",
        "21 November 2026, 09:30 UTC",
        "faiss-cpu 1.13.0",
        "ef_construction: 200",
        "hybrid rrf, bm25, dense",
    ):
        assert wanted in text
    for name in MEASURES:
        assert name in text


def test_drawings_have_words(page: Page) -> None:
    for attributes in page.all("svg"):
        assert attributes.get("aria-hidden") == "true" or attributes["role"] == "img"
        assert "aria-hidden" in attributes or "aria-label" in attributes or "aria-labelledby" in attributes


def test_whiskers_are_where_the_values_are(tmp_path: Path) -> None:
    measures = {name: {"mean": 0.5, "ci95": [0.25, 0.75]} for name in MEASURES}
    html = render_report(write_fake_run(tmp_path, measures=measures))
    assert html.count('<line class="interval" x1="25.0%" x2="75.0%"') == len(MEASURES)
    assert html.count('<circle class="dot" cx="50.0%"') == len(MEASURES)


PLOTLY = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def packed(html: str, id: str) -> bytes:
    """What a page carries compressed, as its script reads it."""
    block = re.search(rf'<script type="text/plain" id="{id}">([^<]*)</script>', html)
    assert block, f"no block '{id}'"
    return gzip.decompress(base64.b64decode(block[1]))


def data_of(html: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(packed(html, "data"))
    return data


def colors(value: Any) -> Any:
    """A figure with colors that Plotly knows in place of the style sheet's."""
    if isinstance(value, dict):
        return {key: colors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [colors(item) for item in value]
    return "#123456" if isinstance(value, str) and re.fullmatch("<[a-z-]+>", value) else value


def check_figures(html: str) -> dict[str, Any]:
    """Every figure has a place and is one that Plotly takes; types need no WebGL, colors are the page's."""
    figures: dict[str, Any] = data_of(html)["figures"]
    places = {
        element["id"]: element for element in Page(html).all("div") if "plot" in (element.get("class") or "").split()
    }
    assert set(figures) == set(places)
    known = set(re.findall(r"--([a-z-]+):", (TEMPLATES / "report.css").read_text(encoding="utf-8")))
    for id, figure in figures.items():
        assert places[id]["role"] == "img"
        assert places[id]["aria-label"]
        assert {trace["type"] for trace in figure["data"]} <= {"scatter", "bar", "heatmap", "contour"}
        assert set(re.findall(r'"<([a-z-]+)>"', json.dumps(figure))) <= known
        graph_objects.Figure(colors(figure))  # refuses what it does not know
    return figures


def test_histogram_counts_every_query_and_the_table_says_the_same(html: str) -> None:
    figure = check_figures(html)["plot-distribution"]
    (bars,) = figure["data"]
    assert sum(bars["y"]) == 120
    start = html.index('id="plot-distribution"')
    table = html[start : html.index("</details>", start)]
    cells = re.findall(r'<td class="n">([^<]*)</td>', table)
    assert [f"{count:,}" for count in bars["y"]] == cells[2::4]
    rows = re.findall(r'<tr data-n="\d+" data-bin="(\d+)"', html)
    assert bars["y"] == [rows.count(str(number)) for number in range(len(bars["y"]))]


def test_filters_are_shown_with_figures(page: Page, html: str) -> None:
    text = text_of(page)
    for wanted in (
        "stages.1 cosine_adapter",
        "Keeps what it rates at least 0.0213, chosen on training queries for recall 0.95.",
        "809 queries kept 95 % of what was relevant and 20 % of the candidates, and 10 % of these were relevant",
        "of the 7 without anything relevant, 86 %",
        "0.233 by the scores before; precision at 95 % recall 0.050, before 0.017",
        "Brier score 0.046",
        "rank 12, score 0.058, rated 0.000833",
    ):
        assert wanted in text
    figures = check_figures(html)
    assert sum(figures["plot-kept-1"]["data"][0]["y"]) == 120
    before, curve, dot = figures["plot-curve-1"]["data"]
    assert [len(trace["x"]) for trace in (dot, curve, before)] == [1, 20, 20]
    assert (0.941, 0.0871) == (dot["x"][0], dot["y"][0])
    assert len(figures["plot-reliability-1"]["data"][1]["x"]) == 10
    assert "What the filter keeps" in html
    assert "What the filters keep" in render_report_of(fake_filter(), fake_filter(name="stages.2 gap"))


def render_report_of(*filters: dict[str, object]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return render_report(write_fake_run(Path(folder), filters=list(filters)))


def test_worst_queries_come_first_with_what_came_and_what_should_have(tmp_path: Path) -> None:
    queries = fake_queries(3)
    for index, query in enumerate(queries):
        query.update(query=f"question {index}", **dict.fromkeys(MEASURES, 0.5))
    queries[2]["nDCG@10"] = 0.1
    queries[1]["AP"] = 0.4
    queries[0]["nDCG@10"] = 1.0
    queries[2]["expected"][0]["rank"] = 37
    html = render_report(write_fake_run(tmp_path, queries))
    cases = re.findall(r'<details class="case".*?class="question"[^>]*>([^<]*)<.*?</details>', html, re.DOTALL)
    assert cases == ["question 2", "question 1"]
    worst = text_of(Page(html[(start := html.index('<details class="case"')) : html.index("</details>", start) + 10]))
    for wanted in (
        "0.100",
        "grade 1",
        "not relevant",
        "not judged",
        "score 9.",
        "rank 37",
        "lost at retriever",
        "We followed",
    ):
        assert wanted in worst


def test_one_query_has_no_interval(tmp_path: Path) -> None:
    html = render_report(write_fake_run(tmp_path, fake_queries(1)))
    text = text_of(Page(html))
    assert "On 1 judged query, this pipeline reaches" in text
    assert "no interval: one query" in text
    assert 'class="interval"' not in html
    assert "None" not in text


def test_a_query_that_got_nothing_and_one_that_expects_nothing(tmp_path: Path) -> None:
    queries = fake_queries(2)
    queries[0].update(returned=[], n_returned=0, **dict.fromkeys(MEASURES, 0.0))
    queries[1].update(expected=[], n_relevant=0, **dict.fromkeys(MEASURES, 0.0))
    text = text_of(Page(render_report(write_fake_run(tmp_path, queries))))
    assert "Returned Nothing. Expected" in text
    assert "Expected Nothing." in text
    assert "2 queries score 0 (100 %)" in text


def test_perfect_scores_leave_no_worst_query(tmp_path: Path) -> None:
    queries = fake_queries(2)
    for query in queries:
        query.update(dict.fromkeys(MEASURES, 1.0))
    html = render_report(write_fake_run(tmp_path, queries))
    assert "None: every query has a perfect nDCG@10." in html
    assert 'class="case"' not in html


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    queries = fake_queries(2)
    hit = {"id": HOSTILE, "title": HOSTILE, "passage": HOSTILE, "score": 1.0, "grade": None}
    due = {"id": HOSTILE, "title": HOSTILE, "grade": 1, "rank": None}
    queries[0].update(query_id=HOSTILE, query=HOSTILE, returned=[hit], expected=[due], **dict.fromkeys(MEASURES, 0.0))
    run = write_fake_run(
        tmp_path,
        queries,
        dataset=HOSTILE,
        split=HOSTILE,
        notes=[HOSTILE],
        versions={HOSTILE: HOSTILE},
        config_fingerprint=HOSTILE,
        filters=[fake_filter(HOSTILE, name=HOSTILE)],
    )
    (run / "config.yaml").write_text(f"type: pipeline  # {HOSTILE[:-1]} </pre>", encoding="utf-8")
    html = render_report(run)
    page = Page(html)
    assert page.open == []
    assert sorted((script.get("type") for script in page.all("script")), key=str) == [None, "text/plain", "text/plain"]
    assert page.all("img") == []
    carried = data_of(html)
    assert "<script>alert(1)</script>" in carried["queries"][0]["text"]
    assert "<script>" not in json.dumps(carried["figures"])  # Plotly takes tags for formatting
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in page.text
    assert "\u202e" not in html
    assert "\x01" not in html


def test_only_our_script_and_plotly_may_run(html: str) -> None:
    policy = Page(html).all("meta")[1]["content"] or ""
    ours = html[html.rindex("<script>") + len("<script>") : html.rindex("</script>")]
    hashes = [
        base64.b64encode(hashlib.sha256(script).digest()).decode() for script in (ours.encode(), packed(html, "plotly"))
    ]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert "unsafe-eval" not in policy
    # npm's plotly.js-cartesian-dist-min 4.1.1, byte by byte.
    assert hashlib.sha256(packed(html, "plotly")).hexdigest() == PLOTLY


def test_no_text_becomes_markup() -> None:
    templates = [*TEMPLATES.iterdir(), *(Path(rag.hpo.__file__).parent / "templates").iterdir()]
    for path in templates:
        text = path.read_text(encoding="utf-8").replace(" ", "")
        assert "|safe" not in text
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text


def test_a_page_without_figures_carries_no_plotly(tmp_path: Path) -> None:
    html = render_report(write_fake_run(tmp_path, fake_queries(1), filters=[], attribution={"relevant": 0}))
    assert 'id="plotly"' not in html
    assert 'class="plot' not in html
    assert len(html) < 120_000


def test_every_query_of_the_table_opens_to_all_stages(html: str) -> None:
    carried = data_of(html)
    queries = carried["queries"]
    assert 120 == len(queries) == len(re.findall(r'<tr data-n="', html))
    assert carried["stages"] == ["retriever", "stages.0 rerank", "stages.1 threshold"]
    first, last = queries[0], queries[-1]
    assert [stage[0] for stage in first["stages"]][:2] == [200, 50]
    candidates, texts, scores, grades = first["stages"][2]
    assert candidates == len(texts) == len(scores) == len(grades)
    assert all("cohort study" in carried["texts"][n][0] for n in texts)
    assert [document[2] for document in first["expected"]] == [[14, None, None], [None] * 3]
    assert [document[3] for document in first["expected"]] == ["lost at stages.0 rerank", "lost at retriever"]
    assert last["expected"][0][2] == [7, 3, 2]
    assert "category: claim" in first["about"]
    assert len(carried["texts"]) == len({tuple(text) for text in carried["texts"]})


def test_an_answer_opens_with_its_query() -> None:
    answer = {
        "text": "Within 30 days [1].",
        "abstained": False,
        "problem": None,
        "citations": [{"rank": 1, "id": "returns"}],
        "references": ["30 days"],
        "claims": [{"judge": "claims", "claim": HOSTILE, "verdict": "supported", "of_reference": False}],
    }
    rows = [fake_queries(1)[0] | {"answer": answer}, fake_queries(1)[0] | {"answer": None}]
    modes = [("missed", "retriever"), ("cut", "stages.0 rerank")]
    opened, none = query_details(rows, MEASURES, modes)["queries"]
    assert none["answer"] is None
    assert ("Within 30 days [1].", "Cites [1] returns.") == (opened["answer"]["text"], opened["answer"]["facts"])
    assert opened["answer"]["references"] == ["30 days"]
    assert opened["answer"]["claims"][0][1:] == ("supported", "good", "claims")
    failed = answer | {"text": "", "problem": "it refused", "citations": [], "claims": []}
    (query,) = query_details([fake_queries(1)[0] | {"answer": failed}], MEASURES, modes)["queries"]
    assert query["answer"]["text"] == "None: it refused"


def test_failure_modes_are_listed_and_mark_the_rows(page: Page, html: str) -> None:
    text = text_of(page)
    assert "missed by the first stage, retriever" in text
    assert "cut by stages.0 rerank: the queries it costs most" in text
    assert data_of(html)["modes"] == ["missed by the first stage, retriever", "cut by stages.0 rerank"]
    rows = re.findall(r'<tr data-n="(\d+)" data-bin="\d+" data-modes="([\d ]+)"', html)
    assert len(rows) == 120
    zero = sum(query["nDCG@10"] == 0 for query in fake_queries())
    assert zero == sum(modes == "0 1" for _, modes in rows)
    opened = [span["data-n"] for span in page.all("span") if span.get("class") == "opens"]
    assert len(opened) == 20  # five of each mode, and the ten worst


def test_the_page_says_first_what_costs_most_and_the_modes_add_up(page: Page, html: str) -> None:
    text, queries = text_of(page), fake_queries()
    losses = [[fault["loss"] for fault in query["failures"]] for query in queries]
    missed, lost = sum(losses_of_query[0] for losses_of_query in losses) / 120, sum(map(sum, losses)) / 120
    lead = f"Of the {lost:.3f} missing to the best possible, {missed:.3f} is lost to relevant documents missed by the"
    assert text.index(lead) < text.index("Throughput")
    documents = sum(map(len, losses))
    assert f'<tfoot><tr><th scope="row">All</th><td class="n">{lost:.3f}</td><td class="n">{documents}</td>' in html


def test_a_document_that_the_corpus_lacks_is_lost_at_no_stage(tmp_path: Path) -> None:
    queries = fake_queries(3)
    for query in queries:
        query["expected"][1]["lost_at"] = NOT_IN_CORPUS
    html = render_report(write_fake_run(tmp_path, queries))
    assert '<span class="badge bad">not in the corpus</span>' in html
    assert {query["expected"][1][3] for query in data_of(html)["queries"]} == {"not in the corpus"}


def test_a_single_stage_has_a_table_and_no_figure(tmp_path: Path) -> None:
    stage = {"name": "retriever", "left": 1, "recall": 0.5, "lost": 1, "oracle": 0.5}
    attribution = {"relevant": 2, "measure": MEASURES[0], "stages": [stage], "not_in_corpus": 0}
    html = render_report(write_fake_run(tmp_path, attribution=attribution))
    assert "plot-recall" not in html
    assert "plot-recall" not in data_of(html)["figures"]
    assert "Relevant documents by stage" in html


def test_a_run_from_before_there_were_stages_and_failure_modes(tmp_path: Path) -> None:
    html = render_report(write_fake_run(tmp_path, old=True))
    carried = data_of(html)
    assert carried["stages"] == ["returned"]
    assert len(carried["queries"]) == 120
    assert carried["queries"][-1]["expected"][0][2] == [2]
    assert "Failure modes" not in html
    check_figures(html)


def test_unicode_survives(tmp_path: Path) -> None:
    queries = fake_queries(1)
    queries[0].update(query="Straße, 東京, مرحبا, 👩🏽‍🔬, é", nDCG=0)
    assert "Straße, 東京, مرحبا, 👩🏽‍🔬, é" in write_report(write_fake_run(tmp_path, queries)).read_text(
        encoding="utf-8"
    )


def test_long_passages_are_cut_between_words(tmp_path: Path) -> None:
    queries = fake_queries(1)
    queries[0].update(dict.fromkeys(MEASURES, 0.0))
    queries[0]["returned"][0]["passage"] = "word " * 100_000
    html = render_report(write_fake_run(tmp_path, queries))
    assert "word word …" in html
    assert any(passage.endswith("word word …") for _, passage in data_of(html)["texts"])
    assert len(html) < 1_000_000


def test_measures_off_the_common_scale_are_listed_but_not_drawn(tmp_path: Path) -> None:
    measures = {name: {"mean": 0.5, "ci95": [0.4, 0.6]} for name in MEASURES} | {
        "P@5": {"mean": 7.5, "ci95": [6.0, 9.0]}
    }
    html = render_report(write_fake_run(tmp_path, measures=measures, filters=[]))
    assert "not on this scale" in html
    assert "7.500" in html
    assert html.count('class="dot"') == len(MEASURES) - 1


def test_a_measure_that_counts_has_no_perfect_value(tmp_path: Path) -> None:
    queries = [query | {"nDCG@10": float(number)} for number, query in enumerate(fake_queries(12))]
    html = render_report(write_fake_run(tmp_path, queries))
    assert "a perfect 1" not in html
    assert "1 query scores 0 (8 %)." in text_of(Page(html))
    assert html.count('<details class="case"') == 10


def test_a_thousand_queries_are_a_small_file(tmp_path: Path) -> None:
    queries = fake_queries(1000)
    for query in queries:
        query["query"] = "a rather long question that goes on " * 20
    html = render_report(write_fake_run(tmp_path, queries))
    assert len(html.encode()) < 3_500_000
    assert html.count('<td class="id">') == 1000


def test_very_many_queries_are_listed_in_part_and_the_page_says_so(tmp_path: Path) -> None:
    query = fake_queries(1)[0]
    queries = [query | {"query_id": f"q{number}"} for number in range(5500)]
    html = render_report(write_fake_run(tmp_path, queries))
    assert html.count('<td class="id">') == 5000
    assert len(data_of(html)["queries"]) == 5000
    assert "The 5,000 lowest by nDCG@10 of 5,500" in html
    # What is chosen among is what is listed; the figure counts all.
    assert re.findall(r'<option value="\d+">[\d.]+ to [\d.]+ \((5,\d+)\)', html) == ["5,000"]
    assert "missed by the first stage, retriever (5,000)" in html
    counts = data_of(html)["figures"]["plot-distribution"]["data"][0]
    (hover,) = (text for text, count in zip(counts["hovertext"], counts["y"], strict=True) if count)
    assert "5,500 queries" in hover
    assert "click" not in hover
    assert len(html.encode()) < 6_000_000


def test_written_whole_into_the_folder(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path)
    before = {path.name for path in run.iterdir()}
    path = write_report(run)
    assert path == run / "report.html"
    assert path.read_text(encoding="utf-8") == render_report(run)
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


def test_the_same_run_gives_the_same_page(tmp_path: Path, html: str) -> None:
    assert html == render_report(write_fake_run(tmp_path))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no run there \(no metrics.json\)"):
        render_report(tmp_path)


@pytest.mark.parametrize("name", ["metrics.json", "per_query.parquet", "config.yaml"])
def test_damaged_run(tmp_path: Path, name: str) -> None:
    run = write_fake_run(tmp_path)
    (run / name).write_bytes(b"\xff{")
    with pytest.raises(ArtifactError, match="damaged"):
        render_report(run)


@pytest.mark.parametrize(
    "metrics",
    [
        {"measures": {"R@7": {"mean": 0.5, "ci95": None}}},
        {"measures": {}},
        {"stages": 3},
        {"corpus": {}},
        {"latency_ms": {}},
    ],
)
def test_files_that_do_not_fit_together(tmp_path: Path, metrics: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="do not fit together"):
        render_report(write_fake_run(tmp_path, **metrics))


ENTRIES = ("measures", "n_queries", "stages", "attribution", "failures", "slices", "filters", "corpus", "latency_ms")


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_entry_of_the_wrong_kind_is_a_traceback(tmp_path: Path, entry: str) -> None:
    for wrong in (0, [], [[]], {}, "text", {"a": []}, [{"mode": "low"}]):
        run = write_fake_run(tmp_path, fake_queries(3), **{entry: wrong})
        for write in (render_report, as_markdown, read_run_values):
            with contextlib.suppress(ArtifactError):
                assert write(run)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (0.0000042, "4.20 µs"),
        (0.00412, "4.12 ms"),
        (0.0412, "41.2 ms"),
        (0.412, "412 ms"),
        (41.2, "41.2 s"),
        (119.7, "2 min 0 s"),
        (7325, "2 h 2 min"),
        (float("nan"), "–"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert text == seconds(value).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (3.0, "3"), (0.126, "0.13"), (12.34, "12.3"), (1234567.8, "1,234,568"), (None, "–")]
)
def test_number(value: float | None, text: str) -> None:
    assert text == number(value)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.999, "> 99 %"), (1.0, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert text == percent(share).replace("\u00a0", " ")


def test_importing_it_loads_no_heavy_library() -> None:
    code = (
        "import sys, rag.eval.reports.report; print([m for m in ('jinja2', 'plotly', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_regions_are_named_unlike_the_section_around_them() -> None:
    pages = [*TEMPLATES.glob("*.j2"), *(Path(rag.hpo.__file__).parent / "templates").glob("*.j2")]
    assert len(pages) == 8
    for page in pages:
        text = page.read_text(encoding="utf-8")
        headings = set(re.findall(r"<h[23][^>]*>([^<{]+)</h", text))
        regions = re.findall(r'role="region" aria-label="([^"]+)"', text)
        assert [label for label in regions if label in headings] == [], page.name
