"""HTML: content and no navigation, structure, and pages that are written against the rules."""

from __future__ import annotations

import pytest

from rag.formats import File, reader_of
from rag.formats.html.reader import from_html


def read(content: str | bytes, **options):
    raw = content if isinstance(content, bytes) else content.encode()
    return next(iter(reader_of(".html").read(File("x.html", raw, **options))))


def markdown(content: str) -> str:
    return read(content).text


def test_navigation_is_left_out_and_content_stays():
    page = """<html lang="EN"><head><title>Site - Returns</title><link rel="canonical" href="https://x.org/returns">
    <meta name="author" content="Ann"></head><body><header><a href="/">Shop</a></header>
    <nav><ul><li>Home</ul></nav><div class="breadcrumbs">Home / Help</div>
    <div id="content"><h1>Returns</h1><p>Within 30 days.</p><aside>Ads</aside></div>
    <div class="sidebar">More</div><script>var x;</script><footer>(c)</footer></body></html>"""
    document = read(page)
    assert document.text == "# Returns\n\nWithin 30 days."
    assert document.metadata == {"title": "Returns", "language": "en", "url": "https://x.org/returns", "author": "Ann"}


def test_a_title_right_before_the_content_belongs_to_it():
    lead = "<div id=header><h1>git-mv(1)</h1><h2>NAME</h2><p>Move a file</p></div>"
    content = "<div id=content><h2>SYNOPSIS</h2><p>git mv, and enough words.</p></div>"
    assert read(f"<body>{lead}{content}").text == (
        "# git-mv(1)\n\n## NAME\n\nMove a file\n\n## SYNOPSIS\n\ngit mv, and enough words."
    )
    masthead = "<div><h1><a href=/>Example</a></h1></div>"
    assert read(f"<body>{masthead}{content}").text == "## SYNOPSIS\n\ngit mv, and enough words."


def test_footnotes_and_boxes_are_content_though_called_asides():
    note = '<aside class="footnote brackets" role=note><p>[1] A note.</p></aside>'
    box = '<aside class="sidebar"><p class="sidebar-title">Important</p><p>Read this.</p></aside>'
    advert = '<aside class="sidebar"><p>Buy this.</p></aside>'
    text = read(f"<main><p>Some text of the page, and more.</p>{note}{box}{advert}</main>").text
    assert text == "Some text of the page, and more.\n\n[1] A note.\n\nImportant\n\nRead this."


def test_a_page_that_is_a_table_of_contents_keeps_it():
    assert "Chapter 2" in markdown("<h1>Book</h1><div class=toc><ul><li>Chapter 1<li>Chapter 2</ul></div>")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        ("<dl><dt>-v<dt>--version<dd>Shows it.</dl>", "-v\n--version\nShows it."),
        ("<pre class='language-python'>if x:\n    y\n</pre>", "```python\nif x:\n    y\n```"),
        ("<div class='highlight-bash'><pre>a\n```\nb</pre></div>", "````bash\na\n```\nb\n````"),
        ("<blockquote><p>a<p>b</blockquote>", "> a\n>\n> b"),
        ("<p>a<br>b <img alt='A cat' src=x> <b>bold</b></p>", "a\nb A cat bold"),
        ("<p># no heading<p>1. no item", "\\# no heading\n\n1\\. no item"),
        ("<h2>A <code>b</code><a class=headerlink>\u00b6</a></h2>", "## A `b`"),
        ("<table><tr><th>a<th>b<tr><td>1|2<td><p>x<p>y</table>", "| a | b |\n| --- | --- |\n| 1\\|2 | x y |"),
        (
            "<table><tr><td colspan=2>a<td>b<tr><td>1<td>2<td>3</table>",
            "| a |  | b |\n| --- | --- | --- |\n| 1 | 2 | 3 |",
        ),
        ("<table><tr><td rowspan=2>a<td>b<tr><td>c</table>", "| a | b |\n| --- | --- |\n|  | c |"),
        (
            "<table><tr><th>a<th>b<tr><td>1<td><table><tr><td>x<td>y<tr><td>z<td>w</table></table>",
            "| a | b |\n| --- | --- |\n| 1 | x, y z, w |",
        ),
        ("<table><tr><td><h2>Place</h2><p>text</table>", "## Place\n\ntext"),
        ("<span>a</span> <a href=x>b</a><div>c</div>d", "a b\n\nc\n\nd"),
    ],
)
def test_structure(html, expected):
    assert markdown(f"<body>{html}") == expected


def test_no_end_tags_no_head_no_html():
    assert markdown("<title>T<h1>One<p>a<p>b<ul><li>c<li>d") != ""
    assert from_html("just words & more").text == "just words & more"


def test_banners_of_links_are_left_out_and_such_with_a_title_or_words_stay():
    nav = '<ul class="docnav top"><li><a href="p">Prev</a></li><li>The Book</li></ul>'
    logo = (
        '<div id="banner"><a href="/">Download</a></div><p id="title"><a href="/"><img alt="Site" src="l.png"></a></p>'
    )
    assert markdown(f"<body>{logo}{nav}<h1>APT</h1><p>Text.") == "# APT\n\nText."
    assert markdown('<div class="banner"><h1>APT</h1></div><p>Text.') == "# APT\n\nText."
    assert markdown('<p class="title">A name</p><p>Text.') == "A name\n\nText."
    for tag, mark in (("h2", "##"), ("h4", "####")):
        linked = f'<h1>T</h1><{tag} class="title banner"><a href="x">Part</a></{tag}><p>Text.'
        assert markdown(linked) == f"# T\n\n{mark} Part\n\nText."
    assert markdown('<h1>T</h1><p class="title"><a href="x">A page</a></p><p>Text.') == "# T\n\nA page\n\nText."


def test_of_several_first_headings_the_title_is_that_of_the_head_or_the_head_itself():
    page = "<title>{}</title><h1>1. Summary</h1><p>a<h6>deep</h6><p>b<h1>2. Vacuum</h1><p>c"
    numbered = "# SQLite Autoincrement\n\n## 1. Summary\n\na\n\n###### deep\n\nb\n\n## 2. Vacuum\n\nc"
    document = read(page.format("SQLite Autoincrement"))
    assert (document.metadata["title"], document.text) == ("SQLite Autoincrement", numbered)
    document = read(page.format("2. Vacuum - SQLite"))
    assert (document.metadata["title"], document.text[:12]) == ("2. Vacuum", "# 1. Summary")
    document = read("<title>Home</title><h1>Returns</h1><p>a")  # a single one knows better
    assert (document.metadata["title"], document.text) == ("Returns", "# Returns\n\na")


def test_the_title_is_put_first_where_no_heading_says_it():
    assert markdown("<title>Setup</title><p>text") == "# Setup\n\ntext"
    assert markdown("<title>8.1.\u00a0Types</title><h2>8.1.\u00a0Types</h2><p>text") == "## 8.1. Types\n\ntext"


def test_elements_too_deep_keep_their_words():
    document = read("<p>top</p>" + "<div>" * 5000 + "bottom" + "</div>" * 5000)
    assert document.text == "top\n\nbottom"
    assert document.counts == {"markup_deep": 1}


def test_large_pages_are_read():
    assert markdown("<p>word " * 50_000).count("word") == 50_000


JAPANESE = "<p>これは日本語の文章です。検索の索引を作ります。文字の符号を間違えないでください。</p>"


@pytest.mark.parametrize(
    ("encoding", "declared", "guessed"),
    [
        ("utf-8", "iso-8859-1", False),
        ("shift_jis", "shift_jis", False),
        ("shift_jis", "utf-8", True),
        ("shift_jis", "iso-8859-1", True),
        ("euc_jp", "euc-jp", False),
        ("utf-16", "utf-8", False),
    ],
)
def test_encodings_that_pages_have_whatever_they_say(encoding, declared, guessed):
    document = read(f"<meta charset='{declared}'>{JAPANESE * 3}".encode(encoding))
    assert "これは日本語の文章です" in document.text
    assert ("encodings_guessed" in document.counts) == guessed


def test_latin_pages_and_a_named_encoding():
    page = "<meta charset=iso-8859-1><p>caf\u00e9 \u201cquoted\u201d".encode("cp1252")
    assert read(page).text == "caf\u00e9 \u201cquoted\u201d"
    assert read("<p>\u0436".encode("koi8-r"), encoding="koi8-r").text == "\u0436"


def test_right_to_left_texts_stay_in_reading_order():
    assert (
        markdown("<p dir=rtl>\u0634\u0644\u0648\u0645 \u05e9\u05dc\u05d5\u05dd")
        == "\u0634\u0644\u0648\u0645 \u05e9\u05dc\u05d5\u05dd"
    )
