"""Every reader of ours passes the tests that every reader must pass."""

from __future__ import annotations

import inspect
import sys

from rag.formats import File, Reader, reader_of, suffixes
from rag.testing import ReaderConformance

from .made import docx, epub, opendocument, pdf, pptx, shape, text_page, w, w_table, xlsx


class Sampled(ReaderConformance):
    """A reader by its suffix, with a sample and what it gives."""

    name: str
    content: bytes | str
    markdown: str

    def make(self) -> Reader:
        return reader_of("." + self.name.rpartition(".")[2])

    def sample(self) -> File:
        return File(self.name, self.content if isinstance(self.content, bytes) else self.content.encode())

    def expected(self) -> str:
        return self.markdown


class TestText(Sampled):
    name, content, markdown = "a.txt", "Two lines\nof text.", "Two lines\nof text."


class TestMarkdown(Sampled):
    name, content, markdown = "a.md", "---\ntitle: Parcels\nyear: 1999\n---\n\n# One\n\ntext", "# One\n\ntext"


class TestHTML(Sampled):
    name = "a.html"
    content = "<title>T</title><nav>Home</nav><main><h1>One</h1><p>Some <code>code</code>.</p></main><footer>c</footer>"
    markdown = "# One\n\nSome `code`."


class TestPDF(Sampled):
    name = "a.pdf"
    content = pdf([[("One", 72, 780, 18, "F1"), *text_page(["The text of the", "first page."], top=740)]])
    markdown = "# One\n\nThe text of the first page."


class TestWord(Sampled):
    name = "a.docx"
    content = docx(w("One", "Heading1") + w("Some text.") + w_table([["a", "b"], ["1", "2"]]))
    markdown = "# One\n\nSome text.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"


class TestSlides(Sampled):
    name = "a.pptx"
    content = pptx([shape("title", "First") + shape("body", "a", "b"), shape("title", "Second") + shape("sldNum", "2")])
    markdown = "## First\n\n- a\n- b\n\n\f\n\n## Second"


class TestSheets(Sampled):
    name = "a.xlsx"
    content = xlsx({"Prices": [["what", "price"], ["tea", 2.0], ["coffee", None]]})
    markdown = "## Prices\n\n| what | price |\n| --- | --- |\n| tea | 2 |\n| coffee |  |"


class TestOpenDocument(Sampled):
    name = "a.odt"
    content = opendocument(
        '<text:h text:outline-level="1">One</text:h><text:p>Some<text:s text:c="2"/>text.</text:p>'
        "<text:list><text:list-item><text:p>a</text:p></text:list-item></text:list>"
    )
    markdown = "# One\n\nSome text.\n\n- a"


class TestRTF(Sampled):
    name = "a.rtf"
    content = (
        r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\stylesheet{\s1 heading 1;}}{\info{\title Parcels}}"
        r"\pard\s1 One\par\pard Caf\'e9 \u8364?5 {\b bold}.\par\trowd\intbl a\cell b\cell\row\trowd\intbl 1\cell 2\cell\row\pard}"
    )
    markdown = "# One\n\nCaf\u00e9 \u20ac5 bold.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"


class TestEPUB(Sampled):
    name = "a.epub"
    content = epub({"one": "<h1>One</h1><p>first</p>", "two": "<h1>Two</h1><p>second</p>"})
    markdown = "# One\n\nfirst\n\n# Two\n\nsecond"


class TestMail(Sampled):
    name = "a.eml"
    content = (
        "From: Ann <ann@x.org>\r\nTo: bob@x.org\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Mon, 1 Feb 2021 10:00:00 +0000\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSee you =E2=82=AC\r\n\r\n> earlier\r\n"
    )
    markdown = "# Caf\u00e9\n\nSee you \u20ac\n\n> earlier"


class TestMailbox(Sampled):
    name = "a.mbox"
    content = (
        "From ann@x Mon Feb  1 10:00:00 2021\nSubject: one\nMessage-ID: <1@x>\n\nfirst\n>From here\n\n"
        "From bob@x Mon Feb  1 11:00:00 2021\nSubject: two\nMessage-ID: <2@x>\n\nsecond\n"
    )
    markdown = "# one\n\nfirst\nFrom here"


class TestRST(Sampled):
    name = "a.rst"
    content = "One\n===\n\nSome ``code``, :ref:`a link <x>`.\n\n.. code-block:: python\n\n   x = 1\n\n* a\n* b\n"
    markdown = "# One\n\nSome `code`, a link.\n\n```python\nx = 1\n```\n\n- a\n- b"


class TestAsciiDoc(Sampled):
    name = "a.adoc"
    content = "= One\n:lang: en\n\nSome `code`, link:x[a link].\n\n[source,python]\n----\nx = 1\n----\n\n* a\n** b\n\n|===\n|a |b\n|1 |2\n|===\n"
    markdown = (
        "# One\n\nSome `code`, a link.\n\n```python\nx = 1\n```\n\n- a\n   - b\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    )


class TestMan(Sampled):
    name = "a.1"
    content = '.TH LS 1\n.SH NAME\nls \\- list files\n.SH OPTIONS\n.TP\n.BR \\-a , " \\-\\-all"\nshow \\fIhidden\\fR ones\n.nf\nls -a\n.fi\n'
    markdown = "# ls(1)\n\n## NAME\n\nls - list files\n\n## OPTIONS\n\n-a, --all\nshow hidden ones\n\n```\nls -a\n```"


class TestNotebook(Sampled):
    name = "a.ipynb"
    content = (
        '{"cells": [{"cell_type": "markdown", "source": ["# One\\n", "text"]}, {"cell_type": "code", "source": "1 + 1", '
        '"outputs": [{"data": {"text/plain": "2"}}]}], "metadata": {"language_info": {"name": "python"}}}'
    )
    markdown = "# One\ntext\n\n```python\n1 + 1\n```\n\n```\n2\n```"


class TestSubtitles(Sampled):
    name = "a.vtt"
    content = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Hello\n\n00:02.100 --> 00:03.000\nthere.\n\n00:09.000 --> 00:10.000\nLater.\n"
    markdown = "[0:00:01] Ann: Hello there.\n\n[0:00:09] Later."


class TestCode(Sampled):
    name = "a.py"
    content = '"""Module."""\n\nimport os\n\n\n# Adds.\ndef add(a, b):\n    return a + b\n'
    markdown = '# a.py\n\n```python\n"""Module."""\n\nimport os\n```\n\n## `add`\n\n```python\n# Adds.\ndef add(a, b):\n    return a + b\n```'


def test_every_reader_of_ours_is_tested():
    made = {type(reader_of(suffix)) for suffix in suffixes()}
    classes = [cls for _, cls in inspect.getmembers(sys.modules[__name__], inspect.isclass)]
    tested = {type(cls().make()) for cls in classes if issubclass(cls, Sampled) and cls is not Sampled}
    assert tested == made
