"""PDF: reading order, furniture, hyphens, headings, pages, and files that cannot be read."""

from __future__ import annotations

import pytest

from rag import DataError
from rag.formats import File, reader_of
from rag.formats.pdf.blocks import markdown_of
from rag.formats.pdf.lines import HYPHEN, Line

from .made import pdf, text_page, vertical_pdf


def read(content: bytes):
    return next(iter(reader_of(".pdf").read(File("x.pdf", content))))


def page(number: int, *lines: str) -> list[tuple]:
    head = [("Annual Report", 72, 815, 9, "F1")]
    return [*head, *text_page(list(lines)), (f"Page {number}", 280, 30, 9, "F1")]


def line(text: str, y: float, *, left: float = 72, code: bool = False) -> Line:
    return Line(text, left, left + 5 * len(text), y, y, 10, code, False)


def test_headers_footers_and_page_numbers_are_left_out():
    pages = [
        page(n, f"Text {n} of the report goes", "on here, and ends.", "Another line follows.", "And one.")
        for n in (7, 8, 9)
    ]
    text = read(pdf(pages)).text
    assert "Annual Report" not in text
    assert "Page" not in text
    assert [part.strip()[:6] for part in text.split("\f")] == ["Text 7", "Text 8", "Text 9"]


def test_a_line_at_the_edge_that_does_not_repeat_stays():
    pages = [
        text_page([f"{start} of its own", "Middle one.", "Middle two.", "Middle three.", f"{start} foot"])
        for start in ("First", "Second", "Third")
    ]
    text = read(pdf(pages)).text
    assert all(f"{start} of its own" in text and f"{start} foot" in text for start in ("First", "Second", "Third"))


def test_a_line_that_stands_at_the_same_height_by_chance_stays():
    pages = [text_page(["Syntax:" if n % 5 == 0 else f"Page {n}, that is", *["and a line"] * 3]) for n in range(15)]
    assert read(pdf(pages)).text.count("Syntax:") == 3


def test_a_header_is_left_out_of_a_page_with_few_lines_far_apart():
    def sparse(n: int) -> list[tuple]:
        return [(f"{word} {n}", 72, 796 - 40 * at, 10, "F1") for at, word in enumerate(("Alpha", "Beta", "Gamma"))]

    pages = [page(n, *[f"line {n} {at}" for at in range(9)]) for n in range(1, 4)]
    text = read(pdf([*pages, [("Annual Report", 72, 815, 9, "F1"), *sparse(4)]])).text
    assert "Annual" not in text
    assert "Alpha 4" in text


def test_words_that_lines_cut_are_whole():
    lines = [line(f"the condi{HYPHEN}tion and the well{HYPHEN}known and the well-known", 700)]
    assert markdown_of([lines], [{}]) == "the condition and the well-known and the well-known"


def test_a_word_cut_by_the_end_of_a_page_is_whole():
    first, second = [line(f"it is a condi{HYPHEN}", 100)], [line("tion of use.", 700)]
    assert markdown_of([first, second], [{}, {}]) == "it is a condition \fof use."


def test_a_paragraph_goes_on_across_pages_and_others_do_not():
    ends = markdown_of([[line("An end.", 100)], [line("A start.", 700)]], [{}, {}])
    goes_on = markdown_of([[line("It goes on", 100)], [line("over here.", 700)]], [{}, {}])
    assert ends == "An end. \f\n\nA start."
    assert goes_on == "It goes on \f\nover here."


def test_the_outline_gives_headings():
    lines = [
        ("1 Setting up", 72, 780, 12, "F3"),
        *text_page(["Install it."], top=750),
        ("Details", 72, 700, 11, "F3"),
        *text_page(["More."], top=670),
    ]
    document = read(pdf([lines, text_page(["Last page."])], outline=[("Setting up", 0), ("Details", 0)]))
    assert document.text == "# 1 Setting up\n\nInstall it.\n\n# Details\n\nMore. \f\n\nLast page."


def test_a_title_that_begins_a_paragraph_is_a_heading():
    lines = [("Column", 72, 700, 10, "F3"), ("The function may be used in plots.", 112, 700, 10, "F1")]
    first = [("Data", 72, 780, 12, "F3"), *text_page(["Column by column, all is read."], top=750)]
    document = read(pdf([[*first, *lines]], outline=[("Data", 0, 795), ("Column", 0, 711)]))
    assert document.text == (
        "# Data\n\nColumn by column, all is read.\n\n# Column\n\nThe function may be used in plots."
    )


def test_a_part_may_be_set_in_another_size_than_its_title():
    lines = [("Part II", 72, 780, 14, "F3"), ("Commands", 72, 740, 20, "F3"), *text_page(["Text."], top=700)]
    assert read(pdf([lines], outline=[("II Commands", 0)])).text == "# Part II Commands\n\nText."


def test_the_end_of_a_paragraph_is_no_number_of_the_title_below():
    lines = [*text_page(["See the other page", "(p. 203)."]), ("Rectangle", 72, 700, 10, "F3")]
    assert read(pdf([lines], outline=[("Rectangle", 0)])).text == "See the other page (p. 203).\n\n# Rectangle"


def test_without_an_outline_sizes_give_headings():
    lines = [
        ("Title", 72, 780, 20, "F1"),
        ("Section", 72, 740, 14, "F1"),
        *text_page(["Body text that is long enough.", "More of it."], top=710),
    ]
    document = read(pdf([lines]))
    assert document.text == "# Title\n\n## Section\n\nBody text that is long enough. More of it."
    assert document.metadata["title"] == "Title"


def test_code_keeps_its_lines_and_indentation():
    lines = [
        ("Run this:", 72, 780, 10, "F1"),
        ("if x:", 90, 764, 10, "F2"),
        ("y()", 114, 750, 10, "F2"),
        ("Done.", 72, 720, 10, "F1"),
    ]
    assert read(pdf([lines])).text == "Run this:\n\n```\nif x:\n    y()\n```\n\nDone."


def test_slanted_code_and_hyphens_that_end_it():
    lines = [
        ("The operator", 72, 780, 10, "F1"),
        ("[n]<&digit-", 90, 764, 10, "F4"),
        ("moves the file.", 72, 748, 10, "F1"),
    ]
    assert read(pdf([lines])).text == "The operator\n\n```\n[n]<&digit-\n```\n\nmoves the file."


def test_terms_of_definitions_are_no_code():
    lines = [
        line("-v name", 700, code=True),
        line("True if it is set.", 688, left=130),
        line("x = 1", 660, left=130, code=True),
        line("sets it.", 648),
    ]
    assert markdown_of([lines], [{}]) == "`-v name`\nTrue if it is set.\n\n```\nx = 1\n```\n\nsets it."


def test_accents_set_over_letters_and_exponents():
    power = [("is x", 72, 740, 10, "F1"), ("2", 87.2, 744, 7, "F1"), (", squared.", 91.2, 740, 10, "F1")]
    assert read(pdf([text_page(["Br\u00a8\boker"])])).text == "Br\u00f6ker"
    assert read(pdf([power])).text == "is x2, squared."
    assert read(pdf([text_page(["it\u00b4s a quote"])])).text == "it\u00b4s a quote"


def test_columns_that_go_down_the_page_are_read_from_the_right():
    columns = ["\u65e5\u672c\u8a9e\u306e\u6587\u66f8\u3092", "\u7e26\u306b\u66f8\u304f\u3002"]
    assert read(vertical_pdf(columns)).text == "".join(columns)


def test_lists_and_what_looks_like_markup():
    lines = text_page(["\u2022 one", "\u2022 two", "# no heading"])
    assert read(pdf([lines])).text.splitlines()[0] == "- one"
    assert "\\# no heading" in read(pdf([text_page(["# no heading"])])).text
    assert markdown_of([[line("\x88 a bullet of TeX", 700)]], [{}]) == "- a bullet of TeX"


def test_metadata_and_titles_that_programs_write():
    about = read(pdf([text_page(["x"])], info="/Title (Guide) /Author (Ann) /ModDate (D:20230102030405)")).metadata
    assert about == {"title": "Guide", "author": "Ann", "date": "2023-01-02", "pages": 1}
    assert "title" not in read(pdf([text_page(["x"])], info="/Title (Microsoft Word - a.docx)")).metadata


def test_scanned_pages_are_counted():
    document = read(pdf([text_page(["Words."]), None, None]))
    assert document.counts == {"pages_without_text": 2}
    assert document.metadata["pages"] == 3


UNMAPPED = b"/Encoding << /Differences [32 %s] >>" % b" ".join(b"/g%d" % code for code in range(32, 127))


def test_fonts_that_do_not_say_which_letters_they_show():
    shown = pdf([text_page(['"#$%&*+! ,-./:;<=>?@']), text_page(["Plain words"])])
    document = read(shown.replace(b"/Encoding /WinAnsiEncoding", UNMAPPED))
    assert document.counts == {"letters_unmapped": 1}
    assert document.text.split() == ["Plain", "words"]  # codes that are ASCII, as TeX's old fonts have


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pdf([None, None]), "has no text: its 2 pages are images (scanned?)"),
        (pdf([text_page(["x"])], encrypted=True), "is encrypted, and opens with a password only"),
        (b"%PDF-1.4 nothing", "is not a PDF, or is damaged: "),
        (b"<html>", "is not a PDF, or is damaged: "),
    ],
)
def test_files_that_cannot_be_read(content, expected):
    with pytest.raises(DataError, match=expected.replace("(", "\\(").replace(")", "\\)").replace("?", "\\?")):
        read(content)


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes_or_refused():
    whole = pdf([text_page([f"Page {n} here."]) for n in range(5)])
    for end in range(100, len(whole), 211):
        try:
            text = read(whole[:end]).text
        except DataError:
            continue
        assert isinstance(text, str)
