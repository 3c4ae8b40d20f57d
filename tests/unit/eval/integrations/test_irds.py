"""Ids of ir_datasets, from datasets of its own classes registered here: nothing is downloaded."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from rag.errors import DataError, MissingExtraError
from rag.eval.datasets.load import load_dataset

os.environ.setdefault("IR_DATASETS_HOME", tempfile.mkdtemp())  # it makes folders when it is imported
ir_datasets = pytest.importorskip("ir_datasets")

from ir_datasets.datasets.base import Dataset  # noqa: E402
from ir_datasets.formats import BaseDocs, TrecQrels, TrecQueries, TsvDocs, TsvQueries  # noqa: E402

TOPICS = (
    b"<top>\n<num> Number: 1\n<title> lift of a wing\n<desc> Description:\nHow much?\n<narr> Narrative:\nAny.\n</top>\n"
)
QRELS = b"1 0 d1 2\n1 0 d2 -1\n2 0 d2 1\n"


class File:
    """What ir_datasets' readers take as a download."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data = data
        self._path = path
        path.write_bytes(data)

    def stream(self):
        return io.BytesIO(self.data)

    def path(self, force: bool = True) -> str:
        return str(self._path)


class Doc(NamedTuple):
    doc_id: str
    title: str
    text: str
    author: str
    year: int

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


class Docs(BaseDocs):
    def docs_iter(self):
        yield Doc("d1", "Wings", "lift and drag", "Prandtl", 1904)
        yield Doc("d2", "", "heat", "", 0)

    def docs_cls(self):
        return Doc


@pytest.fixture
def registered(tmp_path: Path):
    names: list[str] = []

    def register(name: str, *parts: object) -> None:
        ir_datasets.registry.register(name, Dataset(*parts))
        names.append(name)

    def file(data: bytes) -> File:
        return File(data, tmp_path / f"file{len(list(tmp_path.iterdir()))}")

    yield register, file
    for name in names:
        ir_datasets.registry._registered.pop(name)


def test_documents_queries_and_judgments(registered) -> None:
    register, file = registered
    register("here/wings", Docs(), TrecQueries(file(TOPICS)), TrecQrels(file(QRELS), {}))
    dataset = load_dataset("irds:here/wings")
    assert dataset.name == "here/wings"
    assert dataset.corpus.texts() == ["Wings\nlift and drag", "heat"]
    assert dict(dataset.corpus[0].metadata) == {"title": "Wings", "author": "Prandtl", "year": 1904}
    split = dataset.split("test")
    assert [query.text for query in split.queries] == ["lift of a wing"]
    assert str(split.queries[0].metadata["description"]).strip() == "How much?"
    assert split.qrels == {"1": {"d1": 2, "d2": -1}}
    (note,) = dataset.notes
    assert note.startswith("test: 1 judged queries are not among the queries and are left out (such as '2' [irds:here")


def test_an_id_that_groups_others(registered) -> None:
    register, file = registered
    docs = TsvDocs(file(b"d1\tlift\nd2\theat\n"))
    register("here/many", docs)
    register("here/many/train", docs, TsvQueries(file(b"7\tdrag?\n")), TrecQrels(file(b"7 0 d1 1\n"), {}))
    register("here/many/val", docs, TsvQueries(file(b"8\thot?\n")), TrecQrels(file(b"8 0 d2 1\n"), {}))
    register("here/many/raw", docs, TsvQueries(file(b"9\tcold?\n")))
    dataset = load_dataset("irds:here/many")
    assert set(dataset.splits) == {"train", "dev"}
    assert dataset.split("dev").qrels == {"8": {"d2": 1}}
    assert list(load_dataset("irds:here/many/train").splits) == ["train"]


def test_what_cannot_be_used(registered, monkeypatch: pytest.MonkeyPatch) -> None:
    register, file = registered
    with pytest.raises(DataError, match=r"irds:cranfeld: no such id in ir_datasets; see"):
        load_dataset("irds:cranfeld")
    with pytest.raises(DataError, match=r"irds:beir/scifct: no such id in ir_datasets; did you mean 'beir/scifact"):
        load_dataset("irds:beir/scifct")
    register("here/bare", Docs())
    with pytest.raises(DataError, match="irds:here/bare: has no judgments"):
        load_dataset("irds:here/bare")
    register("here/odd", Docs(), TrecQueries(file(TOPICS)), TrecQrels(file(b"1 0 d1 99999\n"), {}))
    with pytest.raises(DataError, match="irds:here/odd: test judgment 0: the grade 99999 is out of range"):
        load_dataset("irds:here/odd")
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtraError, match=r"'irds:cranfield' needs the package 'ir_datasets'.*\[ir-datasets\]"):
        load_dataset("irds:cranfield")


def test_a_download_that_fails_is_one_message(registered) -> None:
    class Broken(BaseDocs):
        def docs_iter(self):
            raise RuntimeError("no route to the host\nand more")

    register, file = registered
    register("here/broken", Broken(), TrecQueries(file(TOPICS)), TrecQrels(file(QRELS), {}))
    with pytest.raises(DataError, match="irds:here/broken: cannot be read: no route to the host$"):
        load_dataset("irds:here/broken")
