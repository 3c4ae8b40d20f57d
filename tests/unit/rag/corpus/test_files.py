"""Folders of files in many formats: what is read, what is left out and said, and what was read before."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest

from rag import DataError, read_corpus
from rag.corpus.copies import folded, originals
from rag.corpus.readers import converting
from rag.formats import registry
from rag.store.store import Store

from ..formats.made import docx, pdf, text_page, w, zipped

HTML = "<title>Returns</title><h1>Returns</h1><p>Within 30 days.</p>"
PDF = pdf([text_page(["First page."]), text_page(["Second page."])])


def folder(path: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def codes(corpus) -> dict[str, int]:
    return {remark.code: remark.count for remark in corpus.remarks}


def test_a_folder_of_many_formats(tmp_path):
    files = {
        "a.html": HTML,
        "sub/b.pdf": PDF,
        "c.docx": docx(w("One")),
        "d.1.gz": gzip.compress(b".TH D 1\n.SH NAME\nd\n"),
    }
    corpus = read_corpus(folder(tmp_path, files))
    assert corpus.ids() == ["a.html", "c.docx", "d.1.gz", "sub/b.pdf"]
    assert corpus.texts() == [
        "# Returns\n\nWithin 30 days.",
        "One",
        "# d(1)\n\n## NAME\n\nd",
        "First page. \f\n\nSecond page.",
    ]
    assert corpus[3].metadata == {"pages": 2, "path": str(tmp_path / "sub/b.pdf"), "format": "pdf"}


def test_a_bad_file_does_not_stop_the_others(tmp_path):
    files = {"a.html": HTML, "b.pdf": b"no pdf", "c.docx": b"", "d.md": "text"}
    corpus = read_corpus(folder(tmp_path, files))
    assert corpus.ids() == ["a.html", "d.md"]
    (remark,) = corpus.remarks
    assert (remark.code, remark.count) == ("files_skipped", 2)
    assert remark.examples[0].startswith(f"{tmp_path}/b.pdf: is not a PDF, or is damaged")
    assert remark.examples[1] == f"{tmp_path}/c.docx: is empty"
    with pytest.raises(DataError, match=r"b\.pdf: is not a PDF"):
        read_corpus(tmp_path, on_error="stop")
    with pytest.raises(DataError, match=r"b\.pdf: is not a PDF"):
        read_corpus(tmp_path / "b.pdf")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("file", {"a.md": {}, "b.pdf": {}}),
        ("page", {"a.md": {}, "b.pdf#page=1": {"page": 1}, "b.pdf#page=2": {"page": 2}}),
        ("section", {"a.md#one": {"headings": ["One"]}, "a.md#two": {"headings": ["One", "Two"]}, "b.pdf": {}}),
    ],
)
def test_units(tmp_path, unit, expected):
    corpus = read_corpus(folder(tmp_path, {"a.md": "# One\n\na\n\n## Two\n\nb", "b.pdf": PDF}), unit=unit)
    known = ("page", "headings")
    assert {doc.id: {name: doc.metadata[name] for name in known if name in doc.metadata} for doc in corpus} == expected


def test_source_code_is_read_where_there_is_nothing_else(tmp_path):
    folder(tmp_path, {"a.py": "x = 1", "sub/b.js": "let y"})
    assert read_corpus(tmp_path).ids() == ["a.py", "sub/b.js"]
    folder(tmp_path, {"README.md": "text"})
    corpus = read_corpus(tmp_path)
    assert corpus.ids() == ["README.md"]
    assert codes(corpus) == {"files_not_read": 2}


# -- archives -----------------------------------------------------------------------------------------------------


def tarred(members: list[tarfile.TarInfo | tuple[str, bytes]], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def test_archives_are_walked(tmp_path):
    inner = zipped({"deep.md": "deep"})
    files = {
        "a.zip": zipped({"x/b.html": HTML, "inner.zip": inner, "data.bin": "x"}),
        "c.tar.gz": tarred([("d.md", b"dee")]),
    }
    corpus = read_corpus(folder(tmp_path, files))
    assert corpus.ids() == ["a.zip/inner.zip/deep.md", "a.zip/x/b.html", "c.tar.gz/d.md"]
    assert corpus[1].metadata["path"] == f"{tmp_path}/a.zip/x/b.html"
    assert codes(corpus) == {"files_not_read": 1}


def test_paths_and_links_that_lead_out_of_an_archive(tmp_path):
    link = tarfile.TarInfo("link.md")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    names = [("../up.md", b"x"), ("/root.md", b"x"), ("good.md", b"good")]
    corpus = read_corpus(
        folder(tmp_path, {"a.tar": tarred([*names, link], "w"), "b.zip": zipped({"../../up.md": "x", "ok.md": "y"})})
    )
    assert corpus.ids() == ["a.tar/good.md", "b.zip/ok.md"]
    assert codes(corpus) == {"files_skipped": 4}
    assert "its path leads out of the archive" in corpus.remarks.messages[0]


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    nested = b"text"
    for _ in range(5):
        nested = zipped({"inner.zip" if nested != b"text" else "a.md": nested})
    files = {
        "a.zip": zipped({"a.txt": b"\0" * (64 << 20)}),
        "b.txt.gz": gzip.compress(b"\0" * (64 << 20)),
        "c.zip": nested,
        "d.md": "d",
    }
    corpus = read_corpus(folder(tmp_path, files))
    assert corpus.ids() == ["d.md"]
    message = " ".join(corpus.remarks.messages)
    assert "a.zip: unpacks to more than 200 times its size" in message
    assert "b.txt.gz: unpacks to more than 200 times its size" in message
    assert "is an archive inside 3 others" in message


def test_a_zip_with_a_damaged_member_gives_the_others(tmp_path):
    content = bytearray(zipped({"a.md": "first " * 100, "b.md": "second"}))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as file:
        start = file.getinfo("a.md").header_offset
    content[start + 40] ^= 0xFF
    corpus = read_corpus(folder(tmp_path, {"x.zip": bytes(content)}))
    assert corpus.ids() == ["x.zip/b.md"]
    assert codes(corpus) == {"files_skipped": 1}


# -- what is no plain file ------------------------------------------------------------------------------------------


def test_links_out_of_the_folder_pipes_and_sockets(tmp_path):
    outside = folder(tmp_path / "outside", {"secret.md": "secret"})
    docs = folder(tmp_path / "docs", {"a.md": "a"})
    (docs / "out.md").symlink_to(outside / "secret.md")
    (docs / "in.md").symlink_to(docs / "a.md")
    (docs / "folder").symlink_to(outside)
    os.mkfifo(docs / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(docs / "s.md")[:100])
        corpus = read_corpus(docs)
    assert corpus.ids() == ["a.md", "in.md"]
    assert codes(corpus) == {"files_not_regular": 2, "links_not_followed": 2, "near_duplicates": 1}
    with pytest.raises(DataError, match=r"pipe\.md: is not a regular file"):
        read_corpus(docs / "pipe.md")


def test_a_file_that_does_not_stop_changing(tmp_path, monkeypatch):
    path = folder(tmp_path, {"a.md": "text"}) / "a.md"
    stat, times = os.fstat, iter(range(1, 100))

    def changing(handle: int) -> object:
        os.utime(path, ns=(next(times), next(times)))
        return stat(handle)

    monkeypatch.setattr(converting.os, "fstat", changing)
    with pytest.raises(DataError, match=r"a\.md: changed while it was read"):
        read_corpus(path)


def test_a_missing_library_costs_the_files_that_need_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pypdfium2", None)
    corpus = read_corpus(folder(tmp_path, {"a.md": "a", "b.pdf": PDF}))
    assert corpus.ids() == ["a.md"]
    assert "pip install 'rag-pipelines[documents]'" in corpus.remarks.messages[0]


# -- the store, copies and readers of others ------------------------------------------------------------------------


def test_what_was_read_is_taken_from_the_store(tmp_path, monkeypatch):
    docs = folder(tmp_path / "docs", {"a.html": HTML, "b.pdf": PDF})
    with Store(tmp_path / "store") as store:
        first = list(read_corpus(docs, store=store))
        reads: list[str] = []
        monkeypatch.setattr(converting, "documents_by", lambda reader, file: reads.append(file.name) or [])
        assert list(read_corpus(docs, store=store)) == first
        folder(docs, {"a.html": HTML + "<p>more"})
        (docs / "sub").mkdir()
        (docs / "b.pdf").rename(docs / "sub/b.pdf")
        read_corpus(docs, store=store)
    assert reads == ["a.html"]


WORDS = [f"word{n}" for n in range(400)]


def test_copies_are_found_and_told_from_the_similar():
    near = [*WORDS[:200], "changed", *WORDS[201:]]
    half = [*WORDS[:200], *(f"other{n}" for n in range(200))]
    texts = [
        " ".join(WORDS),
        " ".join(WORDS).upper(),
        " ".join(near),
        " ".join(half),
        "",
        "",
        "short text",
        "Short, text!",
    ]
    assert originals(texts).tolist() == [0, 0, 0, 3, 4, 5, 6, 6]


def test_copies_are_counted_and_folded_on_request(tmp_path):
    docs = folder(tmp_path, {"a.html": HTML, "b/a.html": HTML + "<nav>other</nav>", "c.md": "another"})
    assert codes(read_corpus(docs)) == {"near_duplicates": 1}
    corpus = read_corpus(docs, fold_duplicates=True)
    assert corpus.ids() == ["a.html", "c.md"]
    assert corpus[0].metadata["copies"] == ["b/a.html"]
    assert "folded" in corpus.remarks.messages[0]
    assert folded(corpus) is corpus


def test_a_reader_of_another_distribution_takes_the_place_of_ours(monkeypatch):
    from importlib.metadata import EntryPoint

    ours = EntryPoint("pdf", "rag.formats.pdf.reader:PDFReader", "rag.readers")
    theirs = EntryPoint("pdf", "rag.formats.text.plain:TextReader".replace("rag.formats", "theirs"), "rag.readers")
    for order in ([ours, theirs], [theirs, ours]):
        monkeypatch.setattr(registry, "entry_points", lambda group, order=order: order)
        registry._entries.cache_clear()
        assert registry._entries()[".pdf"].value == theirs.value
    registry._entries.cache_clear()
