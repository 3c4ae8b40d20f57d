"""Office formats: what is special to them."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from rag import DataError
from rag.formats import File, reader_of

from .made import WORD, docx, opendocument, pptx, shape, w, w_table, xlsx, zipped


def read(name: str, content: bytes):
    return next(iter(reader_of("." + name.rpartition(".")[2]).read(File(name, content))))


def test_word_with_tracked_changes_is_as_if_they_were_accepted():
    body = (
        '<w:p><w:r><w:t xml:space="preserve">Keep </w:t></w:r><w:del><w:r><w:delText>old</w:delText></w:r></w:del>'
        "<w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>"
    )
    assert read("x.docx", docx(body)).text == "Keep new"


def test_word_headings_code_nested_tables_and_properties():
    inner = w_table([["x", "y"], ["1", "2"]])
    body = (
        w("One", "Heading1")
        + w("Two", "Heading2")
        + w("a = 1", "Code")
        + w("b = 2", "Code")
        + w_table([["a", "b"], ["c", inner + w("")]])
    )
    document = read("x.docx", docx(body))
    assert document.text == "# One\n\n## Two\n\n```\na = 1\nb = 2\n```\n\n| a | b |\n| --- | --- |\n| c | x, y 1, 2 |"
    assert document.metadata == {"title": "One", "author": "Ann"}


def test_slides_have_notes_and_tables():
    table = "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>a</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    document = read("x.pptx", pptx([shape("ctrTitle", "Start") + table + shape("ftr", "footer")]))
    assert document.text == "## Start\n\n| a |\n| --- |"
    assert document.metadata["pages"] == 1


def test_cells_are_written_as_people_write_them():
    rows = [
        ["n", "d", "t", "b"],
        [3.0, date(2024, 5, 1), datetime(2024, 5, 1, 8, 30), True],
        [0.25, None, "a|b", "two\nlines"],
    ]
    assert read("x.xlsx", xlsx({"S": rows})).text.splitlines()[2:] == [
        "| n | d | t | b |", "| --- | --- | --- | --- |", "| 3 | 2024-05-01 | 2024-05-01 08:30:00 | True |", "| 0.25 |  | a\\|b | two lines |"
    ]  # fmt: skip


def test_open_documents_leave_deleted_text_out_and_know_code():
    style = '<style:style style:name="P1" style:parent-style-name="Preformatted_20_Text"/>'
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion></text:changed-region>"
        "</text:tracked-changes><text:p>kept<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>aside</text:p>"
        '</text:note-body></text:note></text:p><text:p text:style-name="P1">x = 1</text:p><text:p text:style-name="P1">y = 2</text:p>'
    )
    assert read("x.odt", opendocument(body, styles=style)).text == "kept (aside)\n\n```\nx = 1\ny = 2\n```"


def test_spreadsheets_that_repeat_empty_cells_by_the_million_stay_small():
    cell = '<table:table-cell table:number-columns-repeated="16384"/>'
    body = f'<table:table table:name="S"><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>{cell}</table:table-row></table:table>'
    assert read("x.ods", opendocument(body, "spreadsheet")).text == "## S\n\n| a |\n| --- |"


def test_rtf_leaves_hidden_things_out():
    body = r"{\rtf1\ansi{\*\generator X;}{\header head}{\pict 0102}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}} kept{\deleted gone}\par}"
    assert read("x.rtf", body.encode()).text == "link kept"


def test_rtf_paragraphs_in_a_font_for_code_are_code():
    fonts = r"{\fonttbl{\f0 \fswiss Helvetica;}{\f1\fnil\fprq1 Courier New;}}"
    body = r"{\pard \f0 Run {\f1 ls} now:\par}{\pard \f1 ls -l\line cd ..\par}"
    assert read("x.rtf", rf"{{\rtf1\ansi{fonts}{body}}}".encode()).text == "Run ls now:\n\n```\nls -l\ncd ..\n```"


@pytest.mark.parametrize("name", ["x.docx", "x.pptx", "x.xlsx", "x.odt", "x.epub"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no zip", "is damaged, or not what its name says"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "is encrypted, or in a format of before 2007"),
        (zipped({"a": "b"}), "is damaged, or not what its name says: it has no '"),
    ],
)
def test_files_that_are_not_what_their_name_says(name, content, expected):
    with pytest.raises(DataError, match=expected):
        read(name, content)


def test_entities_are_refused():
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"b" * 10}">]><w:document {WORD}>&a;</w:document>'
    with pytest.raises(DataError, match="declares XML entities"):
        read("x.docx", zipped({"word/document.xml": bomb}))


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        read("x.docx", zipped({"word/document.xml": b"\0" * (40 << 20)}))
