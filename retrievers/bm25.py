"""BM25 over words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints, top_k_of_scores
from rag.corpus.passages import Passages
from rag.errors import ConfigError, DataError, NotFittedError, did_you_mean
from rag.stage import Retriever
from retrievers.keys import best_documents

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.context import FitContext

__all__ = ["BM25"]

_STOPWORDS = ("da", "de", "en", "en_plus", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh")
"""Languages whose stop words bm25s brings."""

_WORDS_REMEMBERED = 1_000_000

_BLOCK = 1 << 24
"""Scores computed at a time, queries x passages: 64 MiB of float32."""


class BM25(Retriever):
    """Ranks by the words that query and passage share (Robertson and Walker 1994), indexed by the library bm25s.

    Scores are computed for a whole batch as one product of sparse matrices. Passages that share no word with the query
    are not returned.

    Args:
        k1: How much repeating a word counts. The default pair .9 / .4 is Anserini's, tuned on passages; Lucene's own is
            1.2 / .75, bm25s' 1.5 / .75: nDCG@10 moves by up to .11 between them.
        b: How much long passages are penalised, 0 to 1.
        variant: How term frequency and rarity are weighted (Kamphuis et al. 2020 compare them).
        delta: Lower bound of a matching term's weight; used by ``bm25l`` and ``bm25+``.
        stemmer: Snowball algorithm such as ``english`` or ``porter``; None compares words as they are.
        stopwords: A language whose common words are dropped (``en``, ``de``, ``fr``, ...), a list of words, or None.
        token_pattern: Regular expression of a word. The default keeps words of one character, which bm25s drops.
        lowercase: Fold case.
        top_k: Documents returned.
    """

    type = "bm25"
    libraries = ("bm25s", "PyStemmer")

    def __init__(
        self,
        *,
        k1: Annotated[float, Field(ge=0)] = 0.9,
        b: Annotated[float, Field(ge=0, le=1)] = 0.4,
        variant: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene",
        delta: Annotated[float, Field(ge=0)] = 0.5,
        stemmer: str | None = "english",
        stopwords: str | list[str] | None = "en",
        token_pattern: str = r"\b\w+\b",
        lowercase: bool = True,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.k1 = k1
        self.b = b
        self.variant = variant
        self.delta = delta
        self.stemmer = stemmer
        self.stopwords = stopwords
        self.token_pattern = token_pattern
        self.lowercase = lowercase
        self.top_k = top_k
        self._tokenizer: Any = None
        self._weights: Any = None  # scipy.sparse.csr_array [words, passages]
        self._passages: Passages | None = None
        try:
            groups = re.compile(token_pattern).groups
        except re.error as error:
            raise ConfigError(f"not a regular expression: {error}", parameter="token_pattern") from None
        if groups > 1:
            raise ConfigError(
                "may have one group (the word) at most: write others as (?:...)", parameter="token_pattern"
            )

        if stemmer is not None:
            from Stemmer import algorithms

            if stemmer not in algorithms():
                raise ConfigError(
                    f"unknown stemmer '{stemmer}'{did_you_mean(stemmer, algorithms())}", parameter="stemmer"
                )
        if isinstance(stopwords, str) and stopwords not in _STOPWORDS:
            raise ConfigError(
                f"no stop words for '{stopwords}'{did_you_mean(stopwords, _STOPWORDS)}, or give a list",
                parameter="stopwords",
            )

    def fit(self, context: FitContext) -> None:
        import bm25s

        tokenizer = self._new_tokenizer()
        words: list[list[int]] = []
        with context.progress("indexing words (bm25)", len(context.passages)) as advance:
            for block in context.passages.iter_texts():
                words.extend(tokenizer.streaming_tokenize(block, update_vocab=True, allow_empty=False))
                advance(len(block))
        vocabulary = tokenizer.get_vocab_dict()
        if not vocabulary:
            raise DataError("'bm25' found no words in the corpus: every passage is empty or made of stop words")
        index = bm25s.BM25(k1=self.k1, b=self.b, delta=self.delta, method=self.variant)
        index.index((words, vocabulary), create_empty_token=False, show_progress=False)
        self._tokenizer = tokenizer
        data, indices, indptr = (index.scores[name] for name in ("data", "indices", "indptr"))
        if index.nonoccurrence_array is not None:
            # bm25s gives `delta` to passages without the word too, and stores what those with it have above that. Then
            # `delta` would rank nothing; as in the papers (Lv and Zhai 2011), it is for words that occur.
            data = data + np.repeat(index.nonoccurrence_array, np.diff(indptr)).astype(np.float32)
        self._set_weights(data, indices, indptr, context.passages)

    def retrieve(self, batch: QueryBatch) -> Candidates:
        if self._weights is None or self._passages is None:
            raise NotFittedError("'bm25' has not been fitted: fit the pipeline it is in first")
        step = max(1, _BLOCK // self._weights.shape[1])
        tables = [self._search(batch.part(slice(first, first + step))) for first in range(0, len(batch), step)]
        return Candidates.stacked(tables)

    def _search(self, batch: QueryBatch) -> Candidates:
        assert self._passages is not None
        scores = self._scores(batch.texts)

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            if allowed is None:
                return top_k_of_scores(scores[rows], k)
            some = scores[rows, allowed] if isinstance(rows, slice) or isinstance(allowed, slice) else None
            columns, best = top_k_of_scores(scores[np.ix_(rows, allowed)] if some is None else some, k)
            keys = columns + allowed.start if isinstance(allowed, slice) else allowed[columns]
            return np.where(columns >= 0, keys, PADDING), best

        return best_documents(search, self._passages, self.top_k, batch)

    def _scores(self, texts: Sequence[str]) -> Floats:
        """Scores of all passages, float32 [n_queries, n_passages]; ``-inf`` where no word is shared."""
        import scipy.sparse

        words = list(self._tokenizer.streaming_tokenize(texts, update_vocab=False, allow_empty=False))
        ends = np.cumsum([0, *map(len, words)])
        columns = np.fromiter((word for one in words for word in one), dtype=np.int64, count=ends[-1])
        ones = np.ones(len(columns), dtype=np.float32)
        queries = scipy.sparse.csr_array((ones, columns, ends), shape=(len(words), self._weights.shape[0]))
        product = (queries @ self._weights).tocoo()
        # What is there shares a word, also where rare weighting schemes give that 0.
        scores = np.full(product.shape, -np.inf, dtype=np.float32)
        scores[product.row, product.col] = product.data
        self._forget()
        return scores

    def _forget(self) -> None:
        """Words of queries that the corpus does not have are remembered by the tokenizer: not without end."""
        if self.stemmer is not None and len(self._tokenizer.word_to_stem) > _WORDS_REMEMBERED:
            self._tokenizer.word_to_stem, self._tokenizer.word_to_id = {}, {}

    def save_state(self, folder: Path) -> None:
        np.save(folder / "data.npy", self._weights.data)
        np.save(folder / "indices.npy", self._weights.indices)
        np.save(folder / "indptr.npy", self._weights.indptr)
        vocabulary = json.dumps(self._tokenizer.get_vocab_dict(), ensure_ascii=False)
        (folder / "vocabulary.json").write_text(vocabulary, encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._tokenizer = self._new_tokenizer()
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        if self.stemmer is None:
            self._tokenizer.word_to_id = vocabulary
        else:
            self._tokenizer.stem_to_sid = vocabulary
        data, indices, indptr = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr")
        )
        self._set_weights(data, indices, indptr, context.passages)

    def _set_weights(self, data: Any, indices: Any, indptr: Any, passages: Passages) -> None:
        import scipy.sparse

        # bm25s keeps columns of passages by word: the same arrays are rows of words.
        shape = (len(indptr) - 1, len(passages))
        if max(len(data), len(passages)) < 1 << 31:  # half the memory; no copy when they are so already
            indices, indptr = indices.astype(np.int32, copy=False), indptr.astype(np.int32, copy=False)
        self._weights = scipy.sparse.csr_array((data, indices, indptr), shape=shape, copy=False)
        self._passages = passages

    def _new_tokenizer(self) -> Any:
        from bm25s.tokenization import Tokenizer

        stemmer = None
        if self.stemmer is not None:
            import Stemmer

            stemmer = Stemmer.Stemmer(self.stemmer)
        return Tokenizer(lower=self.lowercase, splitter=self.token_pattern, stopwords=self.stopwords, stemmer=stemmer)
