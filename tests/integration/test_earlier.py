"""What was saved by earlier versions still loads and answers as it did. ``tests/earlier`` was written by the commit
before there were languages, dates and blends by default.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rag import Document, Pipeline

EARLIER = Path(__file__).parent.parent / "earlier"
ANSWERS = json.loads((EARLIER / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return shutil.copytree(EARLIER / "index", tmp_path / "index")


def assert_answers_as_before(pipeline: Pipeline) -> None:
    """The same documents in the same order. Fused scores moved since: lists of bm25 with room left are scaled from 0."""
    for asked in ANSWERS:
        hits = pipeline.search(asked["query"], filter=asked["filter"])
        assert [hit.document.id for hit in hits] == [name for name, _ in asked["hits"]], asked["query"]


def test_an_index_answers_as_it_did(index: Path) -> None:
    assert_answers_as_before(Pipeline.load(index, verify=True))


def test_and_so_it_does_once_it_was_written_again(index: Path, tmp_path: Path) -> None:
    Pipeline.load(index).save(tmp_path / "again")
    assert_answers_as_before(Pipeline.load(tmp_path / "again", verify=True))


def test_documents_that_come_later_are_analyzed_by_the_old_rules(index: Path) -> None:
    with Pipeline.editing(index) as pipeline:
        assert pipeline.add([Document("new", "Am Sonntag: 机器学习", {"year": 2024})]).added == 1
    words = json.loads(next(index.glob("*/state/retriever.retrievers.0/vocabulary.json")).read_text(encoding="utf-8"))
    assert {"sonntag", "am", "机器学习"} <= set(words)  # whole words, English stems
    assert Pipeline.load(index).search("人工智能")[0].document.id == "f"


@pytest.mark.parametrize("file", sorted(EARLIER.glob("*.yaml")), ids=lambda file: file.stem)
def test_fingerprints_stay(file: Path) -> None:
    """A pipeline with all arguments of then is the same one, or every saved one would have to be indexed again."""
    fingerprint = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# fingerprint: ")
    assert Pipeline.from_yaml(file).fingerprint == fingerprint
