"""The ranked lists of another system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.corpus.passages import Passages
from rag.corpus.readers.run_file import read_run
from rag.errors import DataError, NotFittedError, system_message
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Run"]


class Run(Retriever):
    """Returns the lists of a run file in TREC's format, by the ids of queries: the first stage is another system.

    Rerankers, filters and fusion work on them as on any list. A query that the file does not have gets nothing;
    documents of the file that are not in the corpus are left out and counted. The file is read when fitting; a saved
    index does not need it. A hit's passage is the first of its document, since a run does not say which one matched.

    Args:
        path: The file: ``query Q0 document rank score tag`` on each line; ``run.trec`` of a run folder is one.
        top_k: Maximum number of documents returned; 1,000 is the usual depth of TREC runs.
    """

    type = "run"
    _keeps_lists = False  # lists belong to ids of queries, and the store knows queries by their text

    def __init__(self, *, path: str, top_k: Annotated[int, Field(ge=1)] = 1000) -> None:
        self.path = path
        self.top_k = top_k
        self._lists: _Lists | None = None
        self._passages: Passages | None = None

    def _model_digest(self) -> Any:
        path = Path(self.path).expanduser()
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{path}: the run cannot be read: {system_message(error)}") from None

    def fit(self, context: FitContext) -> None:
        known = set(context.passages.corpus.ids())
        lists = read_run(Path(self.path).expanduser(), literal_ids=known)
        ids = list(dict.fromkeys(document for listed in lists.values() for document, _ in listed))
        if known.isdisjoint(ids):
            raise DataError(
                f"{self.path}: none of its {len(ids):,} documents is in the corpus (such as '{ids[0]}'; the corpus has "
                f"ids such as '{next(iter(known), '')}'): it is a run on another corpus"
            )
        number = {document: n for n, document in enumerate(ids)}
        self._lists = _Lists(
            list(lists),
            np.cumsum([0, *(len(listed) for listed in lists.values())]),
            ids,
            np.array([number[document] for listed in lists.values() for document, _ in listed], dtype=np.int64),
            np.array([score for listed in lists.values() for _, score in listed], dtype=np.float32),
        )
        self._bind(context.passages)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        self._bind(context.passages)
        context.keep(self)

    def _bind(self, passages: Passages) -> None:
        """Look up the listed documents among those that are there."""
        if (lists := self._lists) is None:
            raise NotFittedError.of(self)
        positions = [passages.corpus.position(document) for document in lists.documents]
        self._positions = np.array([-1 if at is None else at for at in positions], dtype=np.int64)
        first = np.searchsorted(passages.document, np.arange(len(passages.corpus)))
        self._first = first[np.maximum(self._positions, 0)]
        self._row_of = {query: row for row, query in enumerate(lists.queries)}
        self._passages = passages

    def retrieve(self, batch: QueryBatch) -> Candidates:
        lists, passages = self._fitted()
        listed = np.array([self._row_of.get(query.id, -1) for query in batch.queries], dtype=np.int64)
        rows, entries = lists.entries(listed)
        documents, first = (of[lists.numbers[entries]] for of in (self._positions, self._first))
        may = np.zeros(len(rows), dtype=bool)
        for members, allowed in batch.groups(passages):
            mask = np.full(len(passages), allowed is None)
            if allowed is not None:
                mask[allowed] = True
            may |= np.isin(rows, np.arange(len(batch))[members]) & mask[first]
        may &= documents >= 0
        candidates = Candidates.from_rows(
            len(batch), rows[may], documents[may], lists.scores[entries[may]], first[may], top_k=self.top_k
        )
        batch.record(batch.step.name, candidates)
        return candidates

    def notes(self) -> tuple[str, ...]:
        lists, _ = self._fitted()
        foreign = int((self._positions < 0).sum())
        left_out = f"; {foreign:,} of its {len(lists.documents):,} documents are not in the corpus" if foreign else ""
        return (f"{self.path} has lists for {len(lists.queries):,} queries{left_out}",)

    def save_state(self, folder: Path) -> None:
        lists, _ = self._fitted()
        np.save(folder / "starts.npy", lists.starts)
        np.save(folder / "numbers.npy", lists.numbers)
        np.save(folder / "scores.npy", lists.scores)
        names = {"queries": list(lists.queries), "documents": list(lists.documents)}
        (folder / "ids.json").write_text(json.dumps(names), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        names = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        starts, numbers, scores = (np.load(folder / f"{name}.npy") for name in ("starts", "numbers", "scores"))
        self._lists = _Lists(names["queries"], starts, names["documents"], numbers, scores)
        self._bind(context.passages)

    def _fitted(self) -> tuple[_Lists, Passages]:
        if self._lists is None or self._passages is None:
            raise NotFittedError.of(self)
        return self._lists, self._passages


@dataclass(frozen=True)
class _Lists:
    """Ranked lists, one after the other.

    Args:
        queries: Ids of the queries.
        starts: Where each list begins in the arrays below, int64 [n_queries + 1].
        documents: Ids of all documents listed.
        numbers: Each entry's document, as a position in ``documents``, int64 [n].
        scores: Each entry's score, float32 [n].
    """

    queries: Sequence[str]
    starts: Ints
    documents: Sequence[str]
    numbers: Ints
    scores: Floats

    def entries(self, listed: Ints) -> tuple[Ints, Ints]:
        """All entries of some lists: the position in ``listed``, and that of the entry, int64 [m] each.

        Args:
            listed: Numbers of lists, int64 [n]; -1 for none.
        """
        begin = np.where(listed >= 0, self.starts[listed], 0)
        size = np.where(listed >= 0, self.starts[listed + 1] - self.starts[listed], 0)
        rows = np.repeat(np.arange(len(listed)), size)
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return rows, np.repeat(begin, size) + within
