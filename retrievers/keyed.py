"""Documents found by keys of several kinds: their text, title, summary, questions that they answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Ints
from rag.errors import ConfigError
from rag.retrievers.fusion.base import Doubles
from rag.retrievers.key_spaces.base import Key
from rag.stage import Retriever
from rag.tables import grouped

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Keyed"]


class Keyed(Retriever):
    """Searches each kind of key in a space of its own and returns the documents behind them, each once.

    Every kind over-fetches keys, maps them to documents, pools several keys of one document, and gives a list of
    documents; the lists are brought together and then cut. ``explain`` shows each kind's score and the key that
    matched.

    Args:
        keys: The kinds of keys, each with the retriever that searches it.
        fusion: ``mean`` of the kinds' scores, weighted: the scores should be of one scale, as cosines of one embedder
            are. A document that a full list does not have counts as its last; one that a list with room left does not
            have, as 0. ``max`` and ``log_sum_exp`` look only at the lists that have the document, and ignore weights.
        temperature: Temperature of ``log_sum_exp``, in units of the score.
        top_k: Documents returned.
    """

    type = "keyed"

    def __init__(
        self,
        *,
        keys: Annotated[Sequence[Key], Field(min_length=1)],
        fusion: Literal["mean", "max", "log_sum_exp"] = "mean",
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.keys = list(keys)
        _check_apart(keys)
        self.fusion = fusion
        self.temperature = temperature
        self.top_k = top_k

    def retrieve(self, batch: QueryBatch) -> Candidates:
        tables = []
        for n, key in enumerate(self.keys):
            part = batch.for_part(n, key.type)
            table, keys = key.retrieve(part, self.top_k)
            part.record(part.step.name, table, partial(_texts, key, keys))
            tables.append(table)
        return self._fuse(tables).head(self.top_k) if len(tables) > 1 else tables[0].head(self.top_k)

    def _fuse(self, tables: Sequence[Candidates]) -> Candidates:
        n = len(tables[0])
        rows, columns = zip(*(np.nonzero(table.mask) for table in tables), strict=True)
        each = list(zip(tables, rows, columns, strict=True))
        row = np.concatenate(rows)
        position = np.concatenate([table.documents[r, c] for table, r, c in each])
        passage = np.concatenate([table.passages[r, c] for table, r, c in each])
        score = np.concatenate([table.scores[r, c] for table, r, c in each]).astype(np.float64)
        kind = np.repeat(np.arange(len(tables)), [len(r) for r in rows])
        if not len(row):
            return Candidates.empty(n)
        order, starts = grouped(row, position)
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
        scores = np.full((len(starts), len(tables)), -np.inf)
        scores[group, kind[order]] = score[order]
        passages = np.full((len(starts), len(tables)), PADDING, dtype=np.int64)
        passages[group, kind[order]] = passage[order]
        row, position = row[order[starts]], position[order[starts]]
        return Candidates.from_rows(n, row, position, self._total(scores, row, tables), self._speaker(scores, passages))

    def _total(self, scores: Doubles, row: Ints, tables: Sequence[Candidates]) -> Doubles:
        if self.fusion == "max":
            return np.asarray(scores.max(axis=1))
        if self.fusion == "log_sum_exp":
            return np.asarray(self.temperature * np.logaddexp.reduce(scores / self.temperature, axis=1))
        absent = np.stack([_absent(table, key.retriever) for table, key in zip(tables, self.keys, strict=True)], axis=1)
        weights = np.asarray([key.weight for key in self.keys])
        return np.asarray(np.where(np.isneginf(scores), absent[row], scores) @ (weights / weights.sum()))

    def _speaker(self, scores: Doubles, passages: Ints) -> Ints:
        """The passage shown: from the best matching key of texts, since that passage was matched; else from any key."""
        reads = np.asarray([key.is_read for key in self.keys])
        preference = np.where(reads, np.where(np.isneginf(scores), -np.inf, 1e9 + scores), scores)
        return np.asarray(passages[np.arange(len(passages)), preference.argmax(axis=1)])


def _check_apart(keys: Sequence[Key]) -> None:
    """Refuse keys that share a retriever.

    Raises:
        ConfigError: Two were given the same object, which would be fitted on the keys of the later one only.
    """
    owner: dict[int, int] = {}
    for n, key in enumerate(keys):
        for _, part in key.retriever.spec.walk():
            if isinstance(part, Retriever) and owner.setdefault(id(part), n) != n:
                raise ConfigError(
                    f"must have a retriever each: {owner[id(part)]} and {n} were given the same object, "
                    f"{part.spec.label}, which is fitted on one kind of keys; make another one",
                    parameter="keys",
                )


def _texts(key: Key, keys: Candidates, places: tuple[Ints, Ints]) -> list[str]:
    return key.key_texts(keys.passages[places])


def _absent(table: Candidates, retriever: Retriever) -> Doubles:
    """Value of a document that is not in the list, float64 [n]."""
    full = table.counts >= (retriever.limit or np.inf)
    lowest = np.where(table.mask, table.scores, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(np.where(full, lowest, np.minimum(lowest, 0.0)), dtype=np.float64)
