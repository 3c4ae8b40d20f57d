"""Markup, man pages, mail, code and the units that documents are cut into."""

from __future__ import annotations

import json

import pytest

from rag.formats import File, reader_of
from rag.formats.code import reader as code
from rag.formats.units import pieces_of


def read(name: str, content: str | bytes) -> list:
    raw = content if isinstance(content, bytes) else content.encode()
    return list(reader_of("." + name.rpartition(".")[2]).read(File(name, raw)))


def test_front_matter_becomes_metadata():
    (document,) = read("x.md", "---\ntitle: A\ntags: [x, y]\ndate: 2024-05-01\n---\n# B\n")
    assert (document.text, document.metadata) == ("# B\n", {"title": "A", "tags": ["x", "y"], "date": "2024-05-01"})
    (broken,) = read("x.md", "---\n: [\n---\ntext")
    assert (broken.text, broken.metadata) == ("---\n: [\n---\ntext", {})


def test_a_chat_of_a_messenger_is_a_conversation():
    chat = "1/2/24, 10:00 - Messages are encrypted\n1/2/24, 10:01 - Ann: Hi\nthere\n1/2/24, 10:02 - Bob: Hello\n1/2/24, 10:03 - Ann: Bye\n"
    assert read("x.txt", chat)[0].text == "Ann: Hi there\nBob: Hello\nAnn: Bye"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("One\n---\n\nTwo\n===\n\nSix\n---\n", "# One\n\n## Two\n\n# Six"),
        ("Text::\n\n  x = 1\n\nend", "Text:\n\n```\nx = 1\n```\n\nend"),
        (".. note:: Mind\n   this.\n\n.. comment\n\n.. toctree::\n\n   a", "Mind\n\nthis."),
        ("+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("=== ===\na   b\n=== ===\n1   2\n=== ===", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("See `here <http://x>`_ and :py:func:`~os.path.join`, __init__.py.", "See here and join, __init__.py."),
        (".. container:: section\n\n   .. rubric:: A title\n\n   Text.", "A title\n\nText."),
        ("term\n   what it is", "term\nwhat it is"),
        (">>> 1\n1", "```python\n>>> 1\n1\n```"),
    ],
)
def test_restructuredtext(source, expected):
    assert read("x.rst", source)[0].text == expected


def test_mdoc_pages():
    page = ".Dd May 1, 2024\n.Dt CAT 1\n.Sh NAME\n.Nm cat\n.Nd concatenate files\n.Sh SYNOPSIS\n.Nm\n.Op Fl n\n.Ar file\n.Bl -tag\n.It Fl n\nNumber lines.\n.El\n"
    assert read("cat.1", page)[0].text == (
        "# cat(1)\n\n## NAME\n\ncat \u2013 concatenate files\n\n## SYNOPSIS\n\ncat [-n] file\n\n-n\nNumber lines."
    )


def test_cells_of_man_pages_over_several_lines():
    page = ".TH X 1\n.TS\ntab(@);\nl l.\nT{\nName\nT}@T{\nMeaning\nT}\n_\na@T{\nfirst of\nthe letters\nT}\n.TE\n"
    assert read("x.1", page)[0].text == "# x(1)\n\n| Name | Meaning |\n| --- | --- |\n| a | first of the letters |"


def test_tables_in_html_within_markdown():
    table = "<table>\n<tr><th>A</th><th>B</th></tr>\n\n<tr><td>1</td><td>2</td></tr>\n</table>\n"
    text = f"# T\n\n{table}\nafter\n\n```html\n{table}```\n"
    assert read("x.md", text)[0].text == (
        f"# T\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n\nafter\n\n```html\n{table}```\n"
    )
    notebook = {"cells": [{"cell_type": "markdown", "source": [table]}]}
    assert read("x.ipynb", json.dumps(notebook))[0].text == "| A | B |\n| --- | --- |\n| 1 | 2 |\n"


def test_text_that_is_markup_is_read_as_such():
    manual = (
        "git-x(1)\n========\n\n[[issues]]\nISSUES\n------\n[verse]\nSee linkgit:git-config[1] and linkgit:git[1].\n"
    )
    (document,) = read("git-x.txt", manual)
    assert document.text == "# git-x(1)\n\n## ISSUES\n\nSee git-config(1) and git(1)."
    assert document.metadata["title"] == "git-x(1)"
    page = "Title\n=====\n\n.. note:: Careful.\n\nSee :ref:`x` and :ref:`y`.\n"
    assert read("page.txt", page)[0].text.startswith("# Title\n")
    plain = "Title\n=====\n\nSee [[a]] and link:x.\n"
    assert read("plain.txt", plain)[0].text == plain


def test_mail_in_html_with_an_attachment():
    parts = (
        "From: a@x\nSubject: S\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/html\n\n"
        "<p>Hello <b>you</b></p>\n--B\nContent-Type: text/markdown\nContent-Disposition: attachment; filename=n.md\n\n# Note\n--B\n"
        "Content-Type: application/x-thing\nContent-Disposition: attachment; filename=n.thing\n\nxx\n--B--\n"
    )
    mail, note = read("x.eml", parts)
    assert (mail.text, mail.counts) == ("# S\n\nHello you", {"parts_skipped": 1})
    assert (note.part, note.text.strip()) == ("n.md", "# Note")


@pytest.mark.parametrize(
    ("header", "field", "value"),
    [
        ("From: Ann <a@[", "author", "Ann <a@["),
        ("To: :;@", "to", ":;@"),
        ("Message-ID: <a@[", "message_id", "<a@["),
        ("In-Reply-To: <>", "in_reply_to", "<>"),
    ],
)
def test_mail_keeps_headers_written_against_the_rules(header, field, value):
    (mail,) = read("x.eml", f"Subject: S\n{header}\nDate: yesterday\n\nHello\n")
    assert (mail.metadata[field], mail.text) == (value, "# S\n\nHello")
    assert ("date" in mail.metadata, mail.counts) == (False, {"dates_unreadable": 1})


def test_code_by_function(monkeypatch):
    source = "package x\n\n// Add adds.\nfunc Add(a int) int {\n\treturn a\n}\n\ntype T struct {\n\tA int\n}\n"
    (go,) = read("x.go", source)
    parsed = ["## `func Add(a int) int`", "## `type T struct`"]
    assert [line for line in go.text.splitlines() if line.startswith("## ")] == parsed
    assert "// Add adds.\nfunc Add" in go.text
    monkeypatch.setattr(code, "_parser", lambda name: None)
    assert read("x.go", source)[0].text == go.text
    (broken,) = read("x.py", "def f(:\n  pass\n\ndef g():\n  pass\n")
    assert "## `def g()`" in broken.text


MANUAL = "intro\n\n# A\n\ntext a \f\n\n```\n# no heading\n```\n\n## B\n\ntext b\n\n\f\n\n## C\n\n### D\n\ntext d"


def test_units():
    assert [piece.fragment for piece in pieces_of(MANUAL, "file")] == [""]
    pages = pieces_of(MANUAL, "page")
    assert [(piece.fragment, piece.metadata) for piece in pages] == [
        ("page=1", {"page": 1}),
        ("page=2", {"page": 2, "headings": ["A"]}),
        ("page=3", {"page": 3, "headings": ["A", "C"]}),
    ]
    sections = pieces_of(MANUAL, "section")
    assert [(piece.fragment, piece.metadata) for piece in sections] == [
        ("top", {"page": 1}),
        ("a", {"headings": ["A"], "page": 1}),
        ("b", {"headings": ["A", "B"], "page": 2}),
        ("d", {"headings": ["A", "C", "D"], "page": 3}),
    ]
    assert "# no heading" in sections[1].text
    assert [piece.fragment for piece in pieces_of("# A\n\nx\n\n# A\n\ny", "section")] == ["a", "a-2"]
    assert pieces_of("no pages", "page")[0].fragment == ""
