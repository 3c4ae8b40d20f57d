"""Item vectors from the scores of anchor queries: the dense matrix of ANNCUR and ADACUR."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Vectors
from rag.component import Need, Runtime
from rag.errors import DataError, first_line
from rag.rerankers.cur.factors import Factors
from rag.rerankers.cur.matrix import score_matrix
from rag.types import Query

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.rerankers.base import Scorer

__all__ = ["AnchorQueryFactors", "anchor_queries", "fold_in", "queries_content"]

_WORDS = 32
"""Of a passage that serves as a query."""


class FromAnchorQueries(Factors):
    """Base of factors that are computed from scores for some anchor queries.

    Attributes:
        queries: ``train``, ``corpus_sample`` or a file.
    """

    queries: str

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return frozenset({"corpus", "training"} if self.queries == "train" else {"corpus"})

    def _model_digest(self) -> Any:
        return queries_content(self.queries)


class AnchorQueryFactors(FromAnchorQueries):
    """Each item's vector is its scores for some anchor queries, less their mean, which is its offset (ANNCUR: Yadav et
    al., EMNLP 2022; ADACUR: EMNLP Findings 2023).

    Costs ``count`` x passages scorer calls when the pipeline is fitted: with a cross-encoder something for up to about
    100,000 passages. With a store the scores are kept as they come, so a fit that was stopped goes on where it was, and
    a new document costs ``count`` calls. Departs from the papers in taking the mean out, without which the ridge would
    shrink every score towards 0.

    Args:
        queries: ``train``: the training queries. ``corpus_sample``: the first words of passages, for when there are
            none. Otherwise a file with one query a line.
        count: How many, drawn at random: the length of the vectors unless ``rank`` is given.
        rank: Keep that many principal directions of the scores; None keeps all.
        precision: How scores are kept on disk.
        max_calls: More scorer calls than this are refused, with an estimate of the time they would take.
    """

    type = "anchor_queries"

    def __init__(
        self,
        *,
        queries: Annotated[str, Field(min_length=1)] = "train",
        count: Annotated[int, Field(ge=2)] = 200,
        rank: Annotated[int, Field(ge=1)] | None = None,
        precision: Literal["float16", "float32"] = "float32",
        max_calls: Annotated[int, Field(ge=1), Runtime()] = 2_000_000,
    ) -> None:
        self.queries = queries
        self.count = count
        self.rank = rank
        self.precision = precision
        self.max_calls = max_calls

    def make(self, context: FitContext, scorer: Scorer) -> tuple[Vectors, Floats | None]:
        asked = anchor_queries(self.queries, self.count, context)
        scores = score_matrix(scorer, asked, context, dtype=self.precision, max_calls=self.max_calls)
        return fold_in(np.asarray(scores, dtype=np.float32), _directions(scores, self.rank))


def fold_in(scores: Floats, directions: Floats | None = None) -> tuple[Vectors, Floats]:
    """Vectors and offsets of items from their scores for the anchor queries: each item by itself, so that a new one is
    folded in at the price of its own scores.

    Args:
        scores: float32 [k_q, n].
        directions: float32 [k_q, rank]; None keeps the scores as they are.
    """
    offsets = scores.mean(axis=0)
    vectors = (scores - offsets).T
    return np.ascontiguousarray(vectors if directions is None else vectors @ directions), offsets


def queries_content(source: str) -> str | None:
    """Hash of the file that :func:`anchor_queries` reads; None when there is none.

    Raises:
        DataError: The file cannot be read.
    """
    return None if source in ("train", "corpus_sample") else hashlib.sha256(_read(source).encode()).hexdigest()


def anchor_queries(source: str, count: int, context: FitContext) -> Sequence[Query]:
    """``count`` queries from the training queries, the corpus or a file, drawn at random.

    Raises:
        DataError: There are fewer, or the file cannot be read.
    """
    rng = np.random.default_rng([context.seed, 4])
    if source == "corpus_sample":
        filled = np.flatnonzero(context.passages.end > context.passages.start)
        drawn = rng.permutation(filled)[: 2 * count]  # some may turn out to be blank
        heads = [" ".join(text.split()[:_WORDS]) for text in context.passages.texts(drawn)]
        queries = [Query(str(index), head) for index, head in enumerate(heads) if head][:count]
        origin = "passages with words"
    elif source == "train":
        assert context.training is not None
        queries, origin = list(context.training.queries), "training queries"
    else:
        lines = [line.strip() for line in _read(source).splitlines()]
        queries, origin = [Query(str(index), line) for index, line in enumerate(lines) if line], f"queries in {source}"
    if len(queries) < count:
        raise DataError(f"{count} anchor queries were requested, and there are {len(queries)} {origin}: lower count")
    return [queries[index] for index in np.sort(rng.choice(len(queries), size=count, replace=False))]


def _directions(scores: Floats, rank: int | None) -> Floats | None:
    """The principal directions of the centered scores over items, float32 [k_q, rank]."""
    if rank is None or rank >= len(scores):
        return None
    centered = np.asarray(scores, dtype=np.float64)
    centered = centered - centered.mean(axis=0)
    _, vectors = np.linalg.eigh(centered @ centered.T)  # ascending
    return np.asarray(vectors[:, ::-1][:, :rank], dtype=np.float32)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"anchor queries: {path} cannot be read: {first_line(error)}") from None
