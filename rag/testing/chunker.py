"""What holds for every chunker."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from rag.corpus.chunkers.base import Chunker
from rag.corpus.corpus import Corpus
from rag.testing.component import ComponentConformance
from rag.testing.data import DOCUMENTS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["ChunkerConformance"]


class ChunkerConformance(ComponentConformance):
    """What holds for every chunker."""

    @abstractmethod
    def make(self) -> Chunker:
        raise NotImplementedError

    def tokenizer(self) -> Tokenizer | None:
        """What counts tokens when the chunker needs it: whole words by default."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))  # noqa: S106
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return tokenizer if self.make().needs_tokenizer else None

    def test_passages_are_slices_in_order(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        lengths = np.asarray([len(text) for text in corpus.texts()])
        assert (passages.start >= 0).all()
        assert (passages.start <= passages.end).all()
        assert (passages.end <= lengths[passages.document]).all()
        assert (np.diff(passages.document) >= 0).all()
        same = np.diff(passages.document) == 0
        assert (np.diff(passages.start)[same] >= 0).all()

    def test_every_document_has_a_passage(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        assert sorted(set(passages.document.tolist())) == list(range(len(corpus)))
        empty = corpus.position("empty")
        assert (passages.document == empty).sum() == 1

    def test_no_word_is_lost(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        for position, text in enumerate(corpus.texts()):
            covered = np.zeros(len(text), dtype=bool)
            for index in np.flatnonzero(passages.document == position).tolist():
                covered[passages.start[index] : passages.end[index]] = True
            left = "".join(letter for letter, inside in zip(text, covered.tolist(), strict=True) if not inside)
            assert not left.strip(), f"{left!r} of document {position} is in no passage"

    def test_passages_are_the_same_every_time_and_wherever_a_document_stands(self) -> None:
        first = self.make().chunk(Corpus.from_documents(DOCUMENTS), self.tokenizer())
        other = self.make().chunk(Corpus.from_documents(DOCUMENTS[::-1]), self.tokenizer())
        mirrored = len(DOCUMENTS) - 1 - other.document
        expected = sorted(zip(mirrored.tolist(), other.start.tolist(), other.end.tolist(), strict=True))
        assert expected == list(zip(first.document.tolist(), first.start.tolist(), first.end.tolist(), strict=True))

    def test_metadata_belongs_to_passages_and_is_json(self) -> None:
        passages = self.make().chunk(self.corpus(), self.tokenizer())
        assert all(0 <= position < len(passages) for position in passages.metadata)
        for value in passages.metadata.values():
            assert json.loads(json.dumps(dict(value))) == dict(value)
