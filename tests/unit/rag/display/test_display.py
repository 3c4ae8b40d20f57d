"""How objects show themselves."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError, Document, MissingExtraError, Pipeline, Query, Threshold
from rag.display import Bar, Interval, Marked, Shown, Table, Tree, brief, clipped, count
from rag.display.html import as_html
from rag.retrievers import BM25
from rag.types import SearchResult


class Example(Shown):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def _summary(self) -> list[str]:
        return self.lines


class Checked(HTMLParser):
    """Collects tags and text; every tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in ("circle", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("circle", "line", "rect"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


@given(st.lists(st.text(), min_size=1, max_size=12))
def test_at_most_six_short_lines(lines: list[str]) -> None:
    shown = repr(Example(lines)).split("\n")
    assert len(shown) == min(len(lines), 6)
    assert all(len(line) <= 162 for line in shown)


@given(st.text(max_size=200), st.integers(2, 100))
def test_clipped_keeps_the_beginning(text: str, length: int) -> None:
    short = clipped(text, length)
    assert len(short) <= length
    assert "\n" not in short
    assert "\x1b" not in short
    if not short.endswith("…"):
        assert short == clipped(text, 10**6)


def test_words_for_numbers() -> None:
    assert [count(1, "query", "queries"), count(0, "query", "queries"), count(1234, "hit")] == [
        "1 query",
        "0 queries",
        "1,234 hits",
    ]
    assert [brief("a" * 100, 5), brief({"a": 1})] == ["'aaaa…'", "{'a': 1}"]


@given(st.text(max_size=80), st.text(max_size=20))
def test_nothing_in_a_text_becomes_markup(text: str, question: str) -> None:
    hostile = f"<script>alert(1)</script>{text}<img src=x onerror=y>"
    page = as_html(
        [hostile],
        [Table(["<b>"], [[hostile], [Marked(hostile, question)], [Bar(1.0, hostile)]]), Tree(hostile, hostile)],
    )
    assert {"script", "img"}.isdisjoint(Checked(page).tags)


def test_a_table_shows_intervals_bars_and_the_rows_left_out() -> None:
    rows = [
        ["a", Interval(0.5, 0.4, 0.6), 3, 0.25, Bar(2.0, "2 s")],
        ["b", Interval(float("nan")), 1200, None, Bar(1.0, "1 s")],
    ]
    page = Checked(as_html(["T"], [Table(["name", "mean", "n", "x", "time"], rows, more=7)]))
    assert "0.5000 [0.4000, 0.6000]" in page.text
    assert "1,200" in page.text
    assert "… 7 more" in page.text
    assert page.tags.count("svg") == 3  # no drawing of a mean that is undefined
    assert page.tags.count("rect") == 2


def test_words_of_the_question_are_marked_and_results_show_their_hits() -> None:
    pipeline = Pipeline(retriever=BM25()).fit([Document("a&b", "Apples <are> red."), Document("b", "Pears.")])
    result = pipeline.search("are apples green?")
    assert isinstance(result, SearchResult)
    page = result._repr_html_()
    assert "<mark>Apples</mark> &lt;are&gt; red." in page  # "are" is a stop word
    assert "a&amp;b" in page
    assert (
        repr(result)
        == f"SearchResult: 1 document for 'are apples green?'\n  {result[0].score:.4f} a&b: Apples <are> red."
    )


def test_a_pipeline_shows_its_tree() -> None:
    pipeline = Pipeline(retriever=BM25(top_k=20)) >> Threshold(top_k=10)
    page = Checked(pipeline._repr_html_())
    assert page.text.split() == ["Pipeline", "retriever:", "BM25", "top_k=20", "stages.0:", "Threshold", "top_k=10"]


def test_a_pipeline_with_one_more_stage_is_another_one() -> None:
    first = Pipeline(retriever=BM25()).fit([Document("a", "text")])
    longer = first >> Threshold(top_k=1) >> Threshold(min_score=2.0)
    assert [stage.top_k for stage in longer.stages] == [1, None]
    assert first.stages == []
    assert longer.retriever is not first.retriever
    with pytest.raises(TypeError):
        first >> BM25()


def test_data_frames() -> None:
    polars = pytest.importorskip("polars")
    results = (
        Pipeline(retriever=BM25()).fit([Document("a", "apples"), Document("b", "pears")]).search(["apples", "figs"])
    )
    frame = results.to_dataframe()
    assert frame[["query", "rank", "id", "passage"]].to_numpy().tolist() == [["apples", 1, "a", "apples"]]
    assert isinstance(results.to_dataframe("polars"), polars.DataFrame)
    assert results.to_dataframe("pyarrow").column_names[:3] == ["query_id", "query", "rank"]
    with pytest.raises(ConfigError, match="backend: must be one of pandas, polars, pyarrow, got 'dask'"):
        results.to_dataframe("dask")  # type: ignore[arg-type]


def test_without_polars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    results = Pipeline(retriever=BM25()).fit([Document("a", "apples")]).search(["apples"])
    with pytest.raises(MissingExtraError, match=r"rag-pipelines\[polars\]"):
        results.to_dataframe("polars")


def test_results_as_plain_values() -> None:
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "apples", {"year": 1990})])
    [values] = pipeline.search([Query("q", "apples")], explain=True).to_dict()
    [hit] = values["hits"]
    assert (values["query"], hit["rank"], hit["id"], hit["metadata"]) == ("apples", 1, "a", {"year": 1990})
    assert hit["scores"] == {"retriever": hit["score"]}
