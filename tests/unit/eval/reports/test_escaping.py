"""Texts of data in Markdown and LaTeX are shown as they are."""

from __future__ import annotations

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag.eval.comparison.comparing import compare_runs
from rag.eval.reports.comparison import as_latex, as_markdown, render_comparison
from rag.eval.reports.escaping import latex, markdown
from rag.eval.reports.markdown import as_markdown as run_as_markdown
from rag.eval.runs.reading import RunValues
from rag.text.plain import plain
from tests.fake_runs import write_fake_run

EVIL = [
    "<img src=x onerror=alert(1)>",
    "</td><script>alert(1)</script>",
    "<!-- ", "<?php", "&lt;b&gt; &#64;", "<http://evil.example>",
    "[click](javascript:alert(1))", "![x](http://evil.example/p.png)", "[1](http://evil.example)", "[a]: http://evil",
    "[1]: http://evil", "[x][1]", "a | b", "`code`", "**bold** _it_ __x__ ~~gone~~ snake_case", "$x^2$", "\\<b>", "\\",
    "# heading", "- item", "+ item", "> quote", "1. item", "12) item", "===", "---", "* * *", "    code", "~~~", "```",
    "line\nbreak\r\n| x | y |", "d\x1b[31m\u202etxt.exe",
]  # fmt: skip


def shown(source: str) -> str:
    """What a reader sees of Markdown."""
    text = re.sub(
        r"<[^>]*>", "", MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)
    )
    return " ".join(html.unescape(text).split()).replace("\u2060", "")


def tags(source: str) -> set[str]:
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)
    return set(re.findall(r"<\s*/?\s*([\w!?-]+)", rendered))


def expected(text: str) -> str:
    return " ".join(plain(text).split())


@pytest.mark.parametrize("text", EVIL)
def test_markdown_shows_a_text_as_it_is(text):
    for before in ("", "- ", "### "):
        source = before + markdown(text)
        assert shown(source) == expected(text)
        assert tags(source) <= {"p", "ul", "li", "h3"}
    table = f"| a | b |\n|---|---|\n| {markdown(text)} | 1 |\n"
    assert shown(table) == f"a b {expected(text)} 1"
    assert tags(table) == {"table", "thead", "tbody", "tr", "th", "td"}


@given(st.text(alphabet="ab1 .:-+=#>*_`~[]()!<>&;\\|$@/\n\t\"'{}", min_size=1, max_size=12).filter(str.strip))
def test_markdown_shows_any_text_as_it_is(text):
    assert shown("- " + markdown(text)) == expected(text)
    assert shown(f"| a |\n|---|\n| {markdown(text)} |\n") == f"a {expected(text)}"


def test_nobody_is_called_and_nothing_is_linked_to():
    assert "@octocat" not in markdown("@octocat see #12")
    assert "#12" not in markdown("@octocat see #12")
    assert markdown("nDCG@10") == "nDCG@10"
    assert markdown("b beats a by .082 [+.058, +.104], p < .001") == "b beats a by .082 [+.058, +.104], p < .001"


def test_latex_sets_a_text_as_it_is():
    assert latex(r"a\b {c} 50% & $x$ #1 x_y ~ ^") == (
        r"a\textbackslash{}b \{c\} 50\% \& \$x\$ \#1 x\_y \textasciitilde{} \textasciicircum{}"
    )
    assert latex("[x]*<b>|--") == r"{[}x{]}{*}\textless{}b\textgreater{}\textbar{}{-}{-}"
    assert latex("a\n\\input{/etc/passwd}\x1b\u202e") == r"a \textbackslash{}input\{/etc/passwd\}??"


@pytest.mark.parametrize("evil", ["<img src=x onerror=alert(1)>", "| [x](http://evil) `a` **b**", "# \x1b[2J\u202e"])
def test_every_text_of_a_run_is_escaped(tmp_path, evil):
    run = write_fake_run(tmp_path / "run", dataset=evil, split=evil, notes=[f"no document: {evil}", evil])
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    for stage in [*metrics["stages"], *metrics["attribution"]["stages"]]:
        stage["name"] = evil
    for mode in metrics["failures"]:
        mode["stage"] = evil
        mode["worst"] = [worst | {"query_id": evil} for worst in mode["worst"]]
    (run / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    text = run_as_markdown(run)
    assert tags(text) <= {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert shown(text).count(expected(evil)) >= 10
    assert not set("\x1b\u202e") & set(text)


@pytest.mark.parametrize("evil", ["<img src=x onerror=alert(1)>", "| [x](http://evil) `a` **b**", "# \x1b[2J\u202e"])
def test_every_text_of_a_comparison_is_escaped(evil):
    values = {"nDCG@10": {f"{evil} {n}": n / 10 for n in range(8)}}
    comparison = compare_runs(
        [RunValues("base", values, notes=[evil]), RunValues(evil, values, dataset=evil)], baseline="base"
    )
    text = as_markdown(comparison)
    assert tags(text) <= {"h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert expected(evil) in shown(text)
    for page in (text, as_latex(comparison), render_comparison(comparison)):
        assert not set("\x1b\u202e") & set(page)
    assert "<img src" not in render_comparison(comparison)
