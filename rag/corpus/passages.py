"""Passages: the pieces of documents that are embedded, matched and scored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rag.candidates import Bools, Ints
from rag.conditions import Mask
from rag.corpus.corpus import Corpus
from rag.display import Shown, clipped, count
from rag.store.fingerprint import fingerprint_texts
from rag.text.normal import is_blank
from rag.types import IndexedPassage

__all__ = ["Passages"]

_BLOCK = 2048


@dataclass(frozen=True, repr=False)
class Passages(Shown):
    """Slices of documents, in the order of the corpus; every document has at least one.

    Texts are not copied: a passage is ``document.text[start:end]``, after the ``context`` and the ``table_header`` that
    its metadata may have.

    Args:
        corpus: Whose documents.
        document: Position of each passage's document, int64 [n], ascending.
        start: Offset in the document's text in characters, int64 [n].
        end: End of the slice (exclusive), int64 [n].
        metadata: What the chunker knows about some passages, by position.
    """

    corpus: Corpus
    document: Ints
    start: Ints
    end: Ints
    metadata: Mapping[int, Mapping[str, Any]]

    @classmethod
    def whole(cls, corpus: Corpus) -> Passages:
        """Every document one passage."""
        n = len(corpus)
        return cls(corpus, np.arange(n, dtype=np.int64), np.zeros(n, dtype=np.int64), corpus.lengths(), {})

    def __len__(self) -> int:
        return len(self.document)

    def _summary(self) -> list[str]:
        first = [f"first: {clipped(self.texts([0])[0])}"] if len(self) else []
        return [f"Passages: {count(len(self), 'passage')} of {count(len(self.corpus), 'document')}", *first]

    @cached_property
    def one_per_document(self) -> bool:
        """Whether positions of passages are positions of documents."""
        return len(self) == len(self.corpus)

    @property
    def alive(self) -> Bools | None:
        """Which documents were not deleted, bool [n_documents]; None when none was."""
        return self.corpus.alive

    @cached_property
    def living(self) -> Ints | None:
        """Positions of the passages of documents that were not deleted, int64, ascending; None for all."""
        if self.alive is None:
            return None
        living = np.flatnonzero(self.alive[self.document])
        living.flags.writeable = False  # lent to every search
        return living

    @cached_property
    def blank(self) -> Ints:
        """Positions of the passages in which nothing can be read, int64, ascending: nobody finds them."""
        blank, first = [], 0
        for block in self.iter_texts():
            blank += [first + number for number, text in enumerate(block) if is_blank(text)]
            first += len(block)
        return np.asarray(blank, dtype=np.int64)

    @cached_property
    def findable(self) -> Ints | None:
        """Positions of the passages that a search may find, int64, ascending: those with a text, of documents that were
        not deleted; None for all.
        """
        if not len(self.blank):
            return self.living
        findable = np.setdiff1d(np.arange(len(self)) if self.living is None else self.living, self.blank)
        findable.flags.writeable = False  # lent to every search
        return findable

    @cached_property
    def most_per_document(self) -> int:
        """The largest number of passages any document has."""
        return int(np.bincount(self.document).max())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the texts, of which document each belongs to, and of what was deleted."""
        texts = (text for block in self.iter_texts() for text in block)
        made_of = [fingerprint_texts(texts), self.document.tobytes().hex()]
        return fingerprint_texts(made_of if self.alive is None else [*made_of, self.alive.tobytes().hex()])

    def where(self, documents: Mask) -> Ints | slice:
        """Passages of these documents that have a text: their positions, ascending and read-only, or a slice where they
        lie side by side.

        Args:
            documents: Bool [n_documents].
        """
        mask = documents.copy() if self.one_per_document else documents[self.document]
        mask[self.blank] = False
        passages = np.flatnonzero(mask)
        if len(passages) and passages[-1] - passages[0] + 1 == len(passages):
            return slice(int(passages[0]), int(passages[-1]) + 1)
        passages.flags.writeable = False
        return passages

    def texts(self, positions: Sequence[int] | Ints) -> list[str]:
        """Texts of these passages, in this order. Each document is read once, however often it occurs."""
        positions = np.asarray(positions, dtype=np.int64)
        documents, where = np.unique(self.document[positions], return_inverse=True)
        full = self.corpus.texts(documents)
        starts, ends = self.start[positions].tolist(), self.end[positions].tolist()
        texts = [full[w][s:e] for w, s, e in zip(where.tolist(), starts, ends, strict=True)]
        return self._headed(texts, positions.tolist()) if self._headers else texts

    def sample(self, n: int = 1000, length: int = 1000) -> list[str]:
        """Beginnings of at most ``n`` passages from all over the corpus, of at most ``length`` characters."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(n, len(self)), dtype=np.int64))
        return [text[:length] for text in self.texts(chosen)]

    def of(self, document: int) -> Iterator[IndexedPassage]:
        """The passages of the document at a position, in the order of its text."""
        first, last = np.searchsorted(self.document, [document, document + 1]).tolist()
        positions = range(first, last)
        for position, text in zip(positions, self.texts(np.arange(first, last)), strict=True):
            metadata = self.metadata.get(position, {})
            yield IndexedPassage(text, int(self.start[position]), int(self.end[position]), metadata)

    @cached_property
    def _headers(self) -> Mapping[int, str]:
        """What is repeated before some passages, by position."""
        headers: dict[int, str] = {}
        for number, about in self.metadata.items():
            if "context" in about or "table_header" in about:
                context = about.get("context", "")
                headers[number] = (f"{context}\n" if context else "") + about.get("table_header", "")
        return headers

    def _headed(self, texts: list[str], positions: Sequence[int]) -> list[str]:
        headers = (self._headers.get(position, "") for position in positions)
        return [header + text for header, text in zip(headers, texts, strict=True)]

    def iter_texts(self, start: int = 0) -> Iterator[list[str]]:
        """All texts in order, or those from a position on, in blocks of some thousand."""
        if start:
            for first in range(start, len(self), _BLOCK):
                yield self.texts(np.arange(first, min(first + _BLOCK, len(self))))
            return
        first = 0  # first passage of the block
        begin = 0  # first document of the block
        for block in self.corpus.iter_texts():
            last = int(np.searchsorted(self.document, begin + len(block)))
            rows = zip(
                (self.document[first:last] - begin).tolist(),
                self.start[first:last].tolist(),
                self.end[first:last].tolist(),
                strict=True,
            )
            texts = [block[d][s:e] for d, s, e in rows]
            yield self._headed(texts, range(first, last)) if self._headers else texts
            first, begin = last, begin + len(block)

    def with_corpus(self, corpus: Corpus) -> Passages:
        """The same slices of the same texts, in another corpus object."""
        twin = Passages(corpus, self.document, self.start, self.end, self.metadata)
        if "blank" in self.__dict__:
            twin.__dict__["blank"] = self.blank
        return twin

    def compacted(self) -> Passages:
        """Only the passages of documents that were not deleted, over the corpus without the others."""
        if self.alive is None or self.living is None:
            return self
        places = np.cumsum(self.alive) - 1
        living = self.living
        metadata = {}
        if self.metadata:
            moved = dict(zip(living.tolist(), range(len(living)), strict=True))
            metadata = {moved[old]: value for old, value in self.metadata.items() if old in moved}
        return Passages(
            self.corpus.living(), places[self.document[living]], self.start[living], self.end[living], metadata
        )

    def followed_by(self, other: Passages) -> Passages:
        """These passages, then those of another corpus, over both corpora together."""
        return Passages(
            self.corpus.followed_by(other.corpus),
            np.concatenate([self.document, other.document + len(self.corpus)]),
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            {**self.metadata, **{position + len(self): value for position, value in other.metadata.items()}},
        )

    def save(self, folder: Path) -> None:
        """Write the table, not the corpus, into ``folder``."""
        np.save(folder / "passages.npy", np.stack([self.document, self.start, self.end]))
        metadata = {str(position): dict(value) for position, value in self.metadata.items()}
        (folder / "passages.json").write_text(json.dumps(metadata, ensure_ascii=False), encoding="utf-8")
        np.save(folder / "blank.npy", self.blank)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Passages:
        """Read what :meth:`save` wrote."""
        document, start, end = np.load(folder / "passages.npy", mmap_mode="r")
        metadata = json.loads((folder / "passages.json").read_text(encoding="utf-8"))
        passages = cls(corpus, document, start, end, {int(position): value for position, value in metadata.items()})
        if (folder / "blank.npy").is_file():  # else they are looked for
            passages.__dict__["blank"] = np.load(folder / "blank.npy")
        return passages
