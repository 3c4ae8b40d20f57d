"""Probability that a question shares a relevant document with a judged question, by the nearest cosine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.candidates import Floats
from rag.filters.platt import fit_platt, sigmoid
from rag.retrievers.judged import Judged

__all__ = ["Kinship"]

_FEW = 20
"""Judged questions below which nothing is learned: they count as akin to every question."""

_FILE = "kinship.json"

_LOOKED_AT = 1000
"""Judged questions learned from, at most: two numbers need no more."""


@dataclass(frozen=True)
class Kinship:
    """A logistic curve from the cosine of the nearest judged question to a probability.

    Args:
        slope: Slope of the curve.
        offset: Likewise; with a slope of 0 and an offset of infinity every question is akin.
    """

    slope: float = 0.0
    offset: float = np.inf

    def __call__(self, nearest: Floats) -> Floats:
        """Probability that questions share a relevant document with a judged one, float32, given their cosines with
        the nearest; 0 where there is none to be seen, below -1.
        """
        likely = sigmoid(self.slope * nearest.astype(np.float64) + self.offset)
        return np.where(nearest <= -1, 0, likely).astype(np.float32)

    @classmethod
    def of(cls, judged: Judged, gains: Any, hidden: Any, seed: int) -> Kinship:
        """Learned from the judged questions, each asked as if it and what is the same question had never been judged;
        and from each asked again word by word, which shares its documents with itself.

        Args:
            judged: The questions.
            gains: Relevant documents of the questions, CSR array [n, documents].
            hidden: Questions hidden from each question, CSR array of bool [n, n].
            seed: Seed of the sample taken from many questions.
        """
        import scipy.sparse as sp

        n = len(judged.ids)
        if n < _FEW:
            return cls()
        rows = np.sort(np.random.default_rng(seed).permutation(n)[:_LOOKED_AT])
        vectors = np.asarray(judged.vectors)
        cosines = vectors[rows] @ vectors.T
        unseen = sp.csr_array(hidden[rows])
        cosines[unseen.nonzero()] = -1
        relevant = sp.csr_array((gains > 0).astype(np.int32))
        common = sp.csr_array(relevant[rows] @ relevant.T).astype(bool)
        akin = np.asarray((common > common.multiply(unseen)).sum(axis=1)) > 0
        if akin.all():
            return cls()
        same = np.ones(len(rows), dtype=bool)
        return cls(*fit_platt(np.concatenate([cosines.max(axis=1), same]), np.concatenate([akin, same])))

    def save(self, folder: Path) -> None:
        """Write it into a folder, unless every question is akin."""
        if np.isfinite(self.offset):
            (folder / _FILE).write_text(json.dumps([self.slope, self.offset]), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Kinship:
        """Read what :meth:`save` wrote."""
        file = folder / _FILE
        return cls(*json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else cls()
