"""What holds for every reader of files."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod

from rag.errors import RagError
from rag.formats.base import NOTICES, Converted, File, Reader, documents_by

__all__ = ["ReaderConformance"]


class ReaderConformance(ABC):
    """What holds for every reader of files; ``sample`` is a file that it reads."""

    n_damaged = 40
    """Damaged files that are tried."""

    @abstractmethod
    def make(self) -> Reader:
        """The reader to be tested."""

    @abstractmethod
    def sample(self) -> File:
        """A file of a few lines, whole."""

    @abstractmethod
    def expected(self) -> str:
        """The Markdown of the sample's first document."""

    def test_it_has_a_name_and_a_version(self) -> None:
        reader = self.make()
        assert reader.name
        assert isinstance(reader.version, str)
        assert reader.version

    def test_the_sample_is_read_as_expected(self) -> None:
        assert documents_by(self.make(), self.sample())[0].text.strip() == self.expected().strip()

    def test_documents_are_plain_and_countable(self) -> None:
        _check(documents_by(self.make(), self.sample()))

    def test_the_same_file_gives_the_same_documents(self) -> None:
        reader = self.make()
        first = [vars(document) for document in documents_by(reader, self.sample())]
        assert first == [vars(document) for document in documents_by(self.make(), self.sample())]

    def test_a_damaged_file_is_read_or_refused(self) -> None:
        """Cut off, with bits flipped, bytes doubled, of another format, empty: documents, or an error of ours."""
        reader, sample = self.make(), self.sample()
        for content in _damaged(sample.content, self.n_damaged):
            try:
                documents = documents_by(reader, File(sample.name, content))
            except RagError:
                continue
            _check(documents)


def _check(documents: list[Converted]) -> None:
    for document in documents:
        assert isinstance(document.text, str)
        document.text.encode("utf-8")
        assert json.loads(json.dumps(document.metadata)) == document.metadata
        assert set(document.counts) <= set(NOTICES)
        assert all(n > 0 for n in document.counts.values())
    parts = [document.part for document in documents]
    assert len(set(parts)) == len(parts)


def _damaged(content: bytes, n: int) -> list[bytes]:
    draw = random.Random(0)  # noqa: S311
    damaged = [
        b"",
        b"\0" * 64,
        b"%PDF-1.7\n",
        b"PK\x03\x04",
        "\u00e9\u732b".encode("utf-16"),
        content[: len(content) // 2],
    ]
    while len(damaged) < n:
        changed = bytearray(content)
        for _ in range(draw.choice([1, 3, 30])):
            offset = draw.randrange(len(changed))
            changed[offset] = draw.randrange(256)
        start = draw.randrange(len(changed))
        if draw.random() < 0.3:
            del changed[start:]
        elif draw.random() < 0.3:
            changed[start:start] = changed[start : start + draw.randrange(1, 200)]
        damaged.append(bytes(changed))
    return damaged
