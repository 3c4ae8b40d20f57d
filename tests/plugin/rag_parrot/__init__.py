"""A retriever that gives the documents in which the query stands word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rag import Candidates, FitContext, NotFittedError, Passages, QueryBatch, Retriever


class Parrot(Retriever):
    """Finds the words of the query one after another; the earlier they stand, the better.

    Args:
        fold: Whether upper and lower case are one.
        top_k: Documents returned.
    """

    type = "parrot"

    def __init__(self, *, fold: bool = True, top_k: Annotated[int, Field(ge=1)] = 10) -> None:
        self.fold = fold
        self.top_k = top_k
        self._texts: list[str] | None = None
        self._passages: Passages | None = None

    def fit(self, context: FitContext) -> None:
        self._passages = context.passages
        self._texts = [self._folded(text) for block in context.passages.iter_texts() for text in block]

    def retrieve(self, batch: QueryBatch) -> Candidates:
        if self._texts is None or self._passages is None:
            raise NotFittedError("'parrot' has not been fitted")
        places = [[text.find(self._folded(query)) for text in self._texts] for query in batch.texts]
        offsets = np.asarray(places, dtype=np.int64).reshape(len(batch), len(self._texts))
        passing = np.zeros(offsets.shape, dtype=bool)
        for rows, allowed in batch.groups(self._passages):
            may = np.zeros(len(self._texts), dtype=bool)
            may[slice(None) if allowed is None else allowed] = True
            passing[rows] = may
        keys = np.where((offsets >= 0) & passing, np.arange(len(self._texts)), -1)
        owners = np.where(keys >= 0, self._passages.document, -1)
        return Candidates.from_scores(owners, -offsets, keys).best_per_document(self.top_k)

    def save_state(self, folder: Path) -> None:
        (folder / "texts.json").write_text(json.dumps(self._texts), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
        self._passages = context.passages

    def _folded(self, text: str) -> str:
        return text.casefold() if self.fold else text
