"""A table of word vectors, distilled from another embedder on the words of the corpus."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Tunable
from rag.embedders.base import Embedder
from rag.errors import DataError, NotFittedError
from rag.text.normal import normalized
from rag.text.words import cut

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Static"]


class Static(Embedder):
    """A vector for every word of the corpus, made once by another embedder; a text is the weighted mean of its words.

    Fitting has the embedder embed the words of the corpus alone, takes the principal components of their vectors and
    weighs frequent words less (SIF: Arora et al. 2017; as model2vec does it, but with words in place of tokens, so that
    any embedder will do). Embedding a text is then counting words: for first stages of large corpora that something
    better reranks. The order of words is lost, and words that are not in the corpus are unknown: a text made only of
    such words gets the zero vector. Documents added later are embedded by what it knows.

    Args:
        embedder: Makes the vectors of the words.
        dim: Dimensions kept; fewer when there are fewer words.
        sif: Share of all words at which a word's weight is half: common words weigh ``sif / (sif + share)``.
        min_df: Ignore words in fewer passages than this.
        max_words: Keep only the most frequent words.
    """

    type = "static"
    needs = frozenset({"corpus"})
    _libraries = ("scikit-learn",)

    def __init__(
        self,
        *,
        embedder: Embedder,
        dim: Annotated[int, Field(ge=2, le=4096), Tunable(choices=(128, 256, 384), gain=0.005)] = 256,
        sif: Annotated[float, Field(gt=0, le=1), Tunable(choices=(0.0001, 0.0005, 0.002), gain=0.005)] = 0.0005,
        min_df: Annotated[int, Field(ge=1)] = 1,
        max_words: Annotated[int, Field(ge=2)] = 200_000,
    ) -> None:
        self.embedder = embedder
        self.dim = dim
        self.sif = sif
        self.min_df = min_df
        self.max_words = max_words
        self._table: Vectors | None = None
        self._counter: Any = None

    @property
    def dimension(self) -> int:
        return int(self._fitted().shape[1])

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        counter = self._new_counter()
        try:
            counts = counter.fit_transform(text for block in context.passages.iter_texts() for text in block)
        except ValueError as error:
            raise DataError(f"'static' found no words to build on in the corpus: {error}") from None
        words = counter.get_feature_names_out().tolist()
        with context.progress(f"embedding words ({self.embedder.type})", len(words)) as advance:
            vectors = self.embedder.embed_documents(words, advance=advance)
        vectors = self.embedder.checked(vectors, len(words))
        context.ledger.spend(texts_embedded=len(words))
        share = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
        share /= share.sum()
        weight = self.sif / (self.sif + share)
        self._table = (_components(vectors, self.dim) * weight[:, None]).astype(np.float32)
        self._counter = counter

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        table = self._fitted()
        if not len(texts):
            return np.empty((0, table.shape[1]), dtype=np.float32)
        sums = self._counter.transform(texts) @ table
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-12), dtype=np.float32)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        vectors = self.embed_queries(texts)
        if advance:
            advance(len(texts))
        return vectors

    def save_state(self, folder: Path) -> None:
        np.save(folder / "table.npy", self._fitted())
        words = self._counter.get_feature_names_out().tolist()
        (folder / "words.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self._counter = self._new_counter({word: row for row, word in enumerate(words)})
        self._table = np.load(folder / "table.npy", mmap_mode="r")

    def _new_counter(self, vocabulary: dict[str, int] | None = None) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(
            preprocessor=normalized,
            tokenizer=_words,
            token_pattern=None,
            min_df=self.min_df,
            max_features=self.max_words,
            vocabulary=vocabulary,
            dtype=np.float32,
        )

    def _fitted(self) -> Vectors:
        if self._table is None:
            raise NotFittedError.of(self)
        return self._table


def _components(vectors: Vectors, dim: int) -> Vectors:
    """The vectors in their first principal components, float32 [n, at most dim]."""
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centered.T @ centered)
    axes = axes[:, ::-1][:, : min(dim, len(vectors))]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    axes *= np.where(largest < 0, -1, 1)  # either sign is right: always the same one
    projected: Vectors = (centered @ axes).astype(np.float32)
    return projected


def _words(text: str) -> list[str]:
    """The words of a normalized text."""
    return list(cut(text, singles=False))
