"""Latent semantic analysis: an embedder that needs no download."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Later, Tunable
from rag.embedders.base import Embedder
from rag.errors import DataError, NotFittedError
from rag.text.normal import normalized
from rag.text.words import cut

if TYPE_CHECKING:
    from rag.candidates import Ints
    from rag.corpus.passages import Passages
    from rag.fitting import FitContext, UpdateContext

__all__ = ["LSA"]


class LSA(Embedder):
    """TF-IDF reduced by a truncated singular value decomposition, fitted on the corpus (Deerwester et al. 1990).

    The fallback that always works: no model, no download, seconds to fit. Words that are not in the corpus are
    unknown to it; a text made only of such words gets the zero vector. Documents added later are embedded by what it
    knows; it says so (:meth:`stale`), and only indexing again fits it to them.

    Args:
        dim: Dimensions kept. Fewer when the corpus has fewer documents or words.
        min_df: Ignore words in fewer passages than this.
        max_features: Keep only the most frequent words.
        ngram_max: Longest run of words counted as one term.
        stop_words: Remove scikit-learn's English stop words.
        singles: Keep words of one letter or digit, such as "2", which matter where values are matched.
    """

    type = "lsa"
    needs = frozenset({"corpus"})
    _libraries = ("scikit-learn",)
    _state_version = 2  # words of any script; 1 had scikit-learn's pattern, and what was fitted so stays so

    def __init__(
        self,
        *,
        dim: Annotated[int, Field(ge=2, le=4096), Tunable(choices=(64, 128, 256), gain=0.01)] = 256,
        min_df: Annotated[int, Field(ge=1)] = 1,
        max_features: Annotated[int, Field(ge=2)] = 100_000,
        ngram_max: Annotated[int, Field(ge=1, le=3)] = 1,
        stop_words: bool = True,
        singles: Annotated[bool, Later()] = False,
    ) -> None:
        self.dim = dim
        self.min_df = min_df
        self.max_features = max_features
        self.ngram_max = ngram_max
        self.stop_words = stop_words
        self.singles = singles
        self._words_of_any_script = True
        self._vectorizer: Any = None
        self._components: Vectors | None = None
        self._fitted_on = self._known = 0
        self._n_now = self._n_known = 0

    def fit(self, context: FitContext) -> None:
        from sklearn.utils.extmath import randomized_svd

        self._words_of_any_script = True
        vectorizer = self._new_vectorizer()
        try:
            matrix = vectorizer.fit_transform(text for block in context.passages.iter_texts() for text in block)
        except ValueError as error:
            raise DataError(f"'lsa' found no words to build on in the corpus: {error}") from None
        dim = min(self.dim, *matrix.shape)
        _, _, components = randomized_svd(matrix, n_components=dim, random_state=context.seed)
        self._components = components.astype(np.float32)
        self._vectorizer = vectorizer
        self._fitted_on = self._known = len(context.passages)
        self._n_now = self._n_known = self._known

    def update(self, context: UpdateContext, kept: Ints) -> None:
        n_known = int(np.searchsorted(kept, self._known))
        if n_known == self._known:
            super().update(context, kept)
        self._known = n_known
        self._count(context.passages)

    def _stale(self) -> str | None:
        if self._n_now == self._n_known == self._fitted_on:
            return None
        return (
            f"fitted on {self._fitted_on} passages; of the {self._n_now} that the index now has, "
            f"{self._n_now - self._n_known} came later"
        )

    def _count(self, passages: Passages) -> None:
        """Of the passages it knows, which come first, and of all, those that are not deleted."""
        self._n_now, self._n_known = len(passages), self._known
        if passages.living is not None:
            self._n_now = len(passages.living)
            self._n_known = int(np.searchsorted(passages.living, self._known))

    @property
    def dimension(self) -> int:
        return len(self._fitted())

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        components = self._fitted()
        if not len(texts):
            return np.empty((0, len(components)), dtype=np.float32)
        return np.asarray(self._vectorizer.transform(texts) @ components.T, dtype=np.float32)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        vectors = self.embed_queries(texts)
        if advance:
            advance(len(texts))
        return vectors

    def save_state(self, folder: Path) -> None:
        np.save(folder / "components.npy", self._fitted())
        np.save(folder / "idf.npy", self._vectorizer.idf_)
        vocabulary = {term: int(column) for term, column in self._vectorizer.vocabulary_.items()}
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        fitted = {"passages": self._fitted_on, "known": self._known, "any_script": self._words_of_any_script}
        (folder / "fitted.json").write_text(json.dumps(fitted), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        self._fitted_on = self._known = len(context.passages)
        self._words_of_any_script = False
        if (folder / "fitted.json").is_file():  # before format 2 there were no updates
            fitted = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
            self._fitted_on, self._known = fitted["passages"], fitted["known"]
            self._words_of_any_script = fitted.get("any_script", False)
        self._vectorizer = self._new_vectorizer(vocabulary)
        self._vectorizer.idf_ = np.load(folder / "idf.npy")
        self._components = np.load(folder / "components.npy", mmap_mode="r")
        self._count(context.passages)

    def _new_vectorizer(self, vocabulary: dict[str, int] | None = None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words: dict[str, Any] = {}
        if self._words_of_any_script:
            words = {"preprocessor": normalized, "tokenizer": cut if self.singles else _terms, "token_pattern": None}
        return TfidfVectorizer(
            **words,
            min_df=self.min_df,
            max_features=self.max_features,
            ngram_range=(1, self.ngram_max),
            stop_words="english" if self.stop_words else None,
            sublinear_tf=True,
            dtype=np.float32,
            vocabulary=vocabulary,
        )

    def _fitted(self) -> Vectors:
        if self._components is None:
            raise NotFittedError.of(self)
        return self._components


def _terms(text: str) -> list[str]:
    """The words of a normalized text; of one letter only where a letter can be a word."""
    return [word for word in cut(text, singles=False) if len(word) > 1 or not word.isascii()]
