"""The corpus and its passages against plain lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ArtifactError, Corpus, Document, Passages

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
DOCUMENTS = st.lists(
    st.builds(Document, st.text(min_size=1), st.text(), st.dictionaries(st.text(), JSON, max_size=2)),
    min_size=1,
    max_size=12,
    unique_by=lambda document: document.id,
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Corpora of a few documents have several batches, as large ones do."""
    monkeypatch.setattr("rag.corpus.corpus.ROWS", 3)
    monkeypatch.setattr("rag.corpus.documents_file.ROWS", 3)


@given(DOCUMENTS, st.data())
def test_a_corpus_is_a_list_of_documents(documents, data):
    corpus = Corpus.from_documents(iter(documents))
    positions = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=20))
    assert documents == list(corpus)
    assert len(documents) == len(corpus)
    assert documents[0] == corpus[0]
    assert [documents[position] for position in positions] == corpus.documents(positions)
    assert [documents[position].id for position in positions] == corpus.ids(np.asarray(positions, dtype=np.int32))
    assert [documents[position].text for position in positions] == corpus.texts(positions)
    assert [document.id for document in documents] == corpus.ids()
    assert [document.text for document in documents] == corpus.texts()
    assert corpus.texts() == [text for block in corpus.iter_texts() for text in block]
    assert [len(document.text) for document in documents] == corpus.lengths().tolist()
    assert list(range(len(documents))) == [corpus.position(document.id) for document in documents]
    assert corpus.position("\0 no such") is None


@given(DOCUMENTS)
def test_a_corpus_is_the_same_after_writing(tmp_path_factory, documents):
    path = tmp_path_factory.getbasetemp() / "corpus.arrow"
    path.unlink(missing_ok=True)
    Corpus.from_documents(documents).write(path)
    assert documents == list(Corpus.open(path))


def test_progress_is_told_by_batch(tmp_path):
    steps: list[int] = []
    Corpus.from_documents([Document(str(n), "x") for n in range(8)], path=tmp_path / "c.arrow", advance=steps.append)
    assert steps == [3, 3, 2]


def test_texts_are_mapped_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("rag.corpus.corpus.ROWS", 64)
    monkeypatch.setattr("rag.corpus.documents_file.ROWS", 64)
    documents = (Document(str(number), "x" * 100_000) for number in range(300))
    before = pa.total_allocated_bytes()
    for corpus in (Corpus.from_documents(documents, path=tmp_path / "c.arrow"), Corpus.open(tmp_path / "c.arrow")):
        assert corpus.lengths().sum() == 300 * 100_000
        assert corpus.documents([299])[0].id == "299"
        assert pa.total_allocated_bytes() - before < 1_000_000


def test_a_temporary_corpus_is_mapped_too_and_outlives_its_handle():
    corpus = Corpus.from_documents([Document(str(number), "x" * 1000) for number in range(100)])
    assert corpus.texts([99]) == ["x" * 1000]


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"x" * 1000])
def test_what_is_no_corpus_file_is_refused(tmp_path, content):
    path = tmp_path / "c.arrow"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="is not a corpus file"):
        Corpus.open(path)
    with pytest.raises(ArtifactError, match="is not a corpus file"):
        Corpus.open(tmp_path / "no.arrow")


def test_an_arrow_file_of_others_is_refused(tmp_path):
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(tmp_path / "c.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ArtifactError, match="its columns are a"):
        Corpus.open(tmp_path / "c.arrow")


# -- passages -----------------------------------------------------------------------------------------------------


@st.composite
def cut_corpora(draw):
    """Texts and slices of them: at least one of each, in order."""
    texts = draw(st.lists(st.text(max_size=12), min_size=1, max_size=10))
    rows = []
    for number, text in enumerate(texts):
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(text)))
            rows.append((number, start, draw(st.integers(start, len(text)))))
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    document, start, end = np.asarray(rows, dtype=np.int64).T
    return texts, rows, Passages(corpus, document, start, end, {0: {"headings": ["ä"]}})


@given(cut_corpora(), st.data())
def test_passages_are_slices(cut, data):
    texts, rows, passages = cut
    expected = [texts[document][start:end] for document, start, end in rows]
    positions = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    assert [expected[position] for position in positions] == passages.texts(positions)
    blocks = list(passages.iter_texts())
    assert [text for block in blocks for text in block] == expected
    assert len(blocks) == -(-len(texts) // 3)
    assert len(rows) == len(passages)
    assert (len(rows) == len(texts)) == passages.one_per_document
    assert max(sum(row[0] == number for row in rows) for number in range(len(texts))) == passages.most_per_document


@given(cut_corpora())
def test_passages_are_the_same_after_saving(tmp_path_factory, cut):
    _, rows, passages = cut
    folder = tmp_path_factory.getbasetemp()
    passages.save(folder)
    again = Passages.load(folder, passages.corpus)
    assert rows == list(zip(again.document.tolist(), again.start.tolist(), again.end.tolist(), strict=True))
    assert passages.metadata == again.metadata
    assert passages.fingerprint == again.fingerprint


def test_whole_documents_are_passages():
    corpus = Corpus.from_documents([Document("a", "żółw 🐕"), Document("b", "")])
    passages = Passages.whole(corpus)
    assert corpus.texts() == passages.texts([0, 1])
    assert (True, 1) == (passages.one_per_document, passages.most_per_document)


def test_the_fingerprint_hangs_on_texts_and_owners():
    def passages(texts, rows):
        corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
        document, start, end = np.asarray(rows, dtype=np.int64).T
        return Passages(corpus, document, start, end, {}).fingerprint

    same = passages(["ab", "c"], [(0, 0, 2), (1, 0, 1)])
    assert same == passages(["abX", "c"], [(0, 0, 2), (1, 0, 1)])
    others = [
        passages(["ab", "c"], [(0, 0, 1), (1, 0, 1)]),
        passages(["ab", "c"], [(0, 0, 2), (0, 1, 2), (1, 0, 1)]),
        passages(["a", "bc"], [(0, 0, 1), (1, 0, 2)]),
        passages(["ab", "c", "c"], [(0, 0, 2), (1, 0, 1), (2, 0, 1)]),
        passages(["ab", "ab"], [(0, 0, 2), (0, 0, 2), (1, 0, 2)]),
        passages(["ab", "ab"], [(0, 0, 2), (1, 0, 2), (1, 0, 2)]),
    ]
    assert len({same, *others}) == 7
