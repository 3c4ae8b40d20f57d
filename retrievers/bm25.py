"""BM25 over words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints, top_k_of_scores
from rag.corpus.passages import Passages
from rag.errors import ConfigError, DataError, NotFittedError, did_you_mean
from retrievers.asked_again import Recipe, TakesFeedback
from retrievers.bm25_weights import bm25_weights
from retrievers.judged import lookup
from retrievers.keys import best_documents
from retrievers.rm3 import expanded

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.context import FitContext

__all__ = ["BM25"]

_STOPWORDS = ("da", "de", "en", "en_plus", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh")
"""Languages whose stop words bm25s brings."""

_WORDS_REMEMBERED = 1_000_000

_BLOCK = 1 << 24
"""Scores computed at a time, queries x passages: 64 MiB of float32."""


class BM25(TakesFeedback):
    """Ranks by the words that query and passage share (Robertson and Walker 1994), told apart by the library bm25s.

    Scores are computed for a whole batch as one product of sparse matrices. Passages that share no word with the query
    are not returned. Kept are the frequencies of words; the weights made of them are computed at the first question, so
    that they are exact after documents came or went. Deleted documents count in no statistic.

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
    state_version = 2  # frequencies; 1 had weights

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
        self._frequencies: Any = None  # scipy.sparse.csr_array [words, passages]
        self._computed: Any = None  # the weights, likewise
        self._forward: Any = None  # frequencies by passage and lengths of passages, once feedback asks for them
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
        self._tokenizer = self._new_tokenizer({})
        self._set(self._counted(context, 0), context.passages)
        self._check()

    def update(self, context: FitContext, kept: Ints) -> None:
        import scipy.sparse

        frequencies: Any = self._fitted()
        vocabulary = self._tokenizer.get_vocab_dict()
        self._tokenizer = self._new_tokenizer(dict(vocabulary))
        if len(kept) < frequencies.shape[1]:
            frequencies = frequencies[:, kept]
            known = np.diff(frequencies.indptr) > 0  # words of the passages that went are forgotten
            places = np.cumsum(known) - 1
            vocabulary = {word: int(places[place]) for word, place in vocabulary.items() if known[place]}
            self._tokenizer = self._new_tokenizer(vocabulary)
            frequencies = frequencies[known]
        if len(kept) < len(context.passages):
            new = self._counted(context, len(kept))
            n_words = new.shape[0] - frequencies.shape[0]  # that were not known
            indptr = np.pad(frequencies.indptr, (0, n_words), mode="edge")
            arrays = (frequencies.data, frequencies.indices, indptr)
            old: Any = scipy.sparse.csr_array(arrays, shape=(new.shape[0], len(kept)), copy=False)
            frequencies = scipy.sparse.hstack([old, new], format="csr")
        if frequencies is self._frequencies:
            context.keep(self)
        self._set(frequencies, context.passages)
        self._check()

    def _counted(self, context: FitContext, start: int) -> Any:
        """Frequencies in the passages from one on, CSR [words known then, passages]; new words become known."""
        import scipy.sparse

        owners, words = [], []
        first = 0
        with context.progress("indexing words (bm25)", len(context.passages) - start) as advance:
            for block in context.passages.iter_texts(start):
                lists = list(self._tokenizer.streaming_tokenize(block, update_vocab=True, allow_empty=False))
                lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
                words.append(np.fromiter((w for one in lists for w in one), dtype=np.int32, count=lengths.sum()))
                owners.append(np.repeat(np.arange(first, first + len(lists), dtype=np.int32), lengths))
                first += len(lists)
                advance(len(block))
        places = (np.concatenate(words), np.concatenate(owners))
        shape = (len(self._tokenizer.get_vocab_dict()), first)
        ones = np.ones(len(places[0]), dtype=np.int32)
        return scipy.sparse.coo_array((ones, places), shape=shape).tocsr()  # which adds up what is repeated

    def _check(self) -> None:
        if not self._tokenizer.get_vocab_dict():
            raise DataError("'bm25' found no words in the corpus: every passage is empty or made of stop words")

    def retrieve(self, batch: QueryBatch) -> Candidates:
        self._fitted()
        return self._ranked(batch, self._counts(batch.texts))

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores of all candidates' passages, also of those that the list is too short for."""
        return {"score": self._scores_of(self._counts(batch.texts), candidates)}

    def _scores_of(self, queries: Any, candidates: Candidates) -> Floats:
        """Scores of the candidates' passages for weighted words, float32 [n, k]."""
        found = np.zeros(candidates.positions.shape, dtype=np.float32)
        step = max(1, _BLOCK // self._fitted().shape[1])
        for start in range(0, len(found), step):
            rows = slice(start, start + step)
            product = queries[rows] @ self._weights
            product.sort_indices()
            found[rows] = lookup(product, candidates.passages[rows])
        return found

    def query_features(self, batch: QueryBatch) -> Mapping[str, Floats]:
        """How rare the query's words are: sum and maximum of log(passages / passages with the word)."""
        queries, frequencies = self._counts(batch.texts), self._fitted()
        with_word = np.maximum(np.diff(frequencies.indptr), 1)
        queries.data = np.log(frequencies.shape[1] / with_word[queries.indices]).astype(np.float32)
        total = np.asarray(queries.sum(axis=1), dtype=np.float32)
        rarest = queries.max(axis=1).toarray().ravel() if queries.shape[1] else total
        return {"rarity": total, "rarest word": np.asarray(rarest, dtype=np.float32)}

    def scaled_by(self, found: Candidates) -> Candidates:
        """Passages that share no word with a query have score 0."""
        return found.filled(self.top_k, 0.0)

    def retrieve_again(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Candidates:
        return self._ranked(batch, self._expanded(batch, trusted, recipe))

    def scores_again(
        self, batch: QueryBatch, trusted: Candidates, recipe: Recipe, candidates: Candidates
    ) -> Mapping[str, Floats]:
        return {self.type: self._scores_of(self._expanded(batch, trusted, recipe), candidates)}

    def _expanded(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Any:
        """The queries with words of trusted passages, CSR array [n_queries, words]."""
        import scipy.sparse

        frequencies = self._fitted()
        if self._forward is None:
            by_passage = scipy.sparse.csr_array(frequencies.T, dtype=np.float32)
            self._forward = by_passage, np.asarray(by_passage.sum(axis=1))
        passages, lengths = self._forward
        return expanded(
            self._counts(batch.texts),
            passages,
            lengths,
            trusted.head(recipe.documents),
            terms=recipe.terms,
            original_weight=recipe.original_weight,
        )

    def _ranked(self, batch: QueryBatch, queries: Any) -> Candidates:
        """The best documents for weighted words, CSR array [n_queries, words]."""
        step = max(1, _BLOCK // self._fitted().shape[1])
        parts = [slice(first, first + step) for first in range(0, len(batch), step)]
        return Candidates.stacked([self._search(batch.part(part), queries[part]) for part in parts])

    def _search(self, batch: QueryBatch, queries: Any) -> Candidates:
        assert self._passages is not None
        scores = self._scores(queries)

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            if allowed is None:
                return top_k_of_scores(scores[rows], k)
            some = scores[rows, allowed] if isinstance(rows, slice) or isinstance(allowed, slice) else None
            columns, best = top_k_of_scores(scores[np.ix_(rows, allowed)] if some is None else some, k)
            keys = columns + allowed.start if isinstance(allowed, slice) else allowed[columns]
            return np.where(columns >= 0, keys, PADDING), best

        return best_documents(search, self._passages, self.top_k, batch)

    def _counts(self, texts: Sequence[str]) -> Any:
        """How often each text has each word of the corpus, float32 CSR array [n_texts, words]."""
        import scipy.sparse

        words = list(self._tokenizer.streaming_tokenize(texts, update_vocab=False, allow_empty=False))
        ends = np.cumsum([0, *map(len, words)])
        columns = np.fromiter((word for one in words for word in one), dtype=np.int64, count=ends[-1])
        ones = np.ones(len(columns), dtype=np.float32)
        self._forget()
        return scipy.sparse.csr_array((ones, columns, ends), shape=(len(words), self._fitted().shape[0]))

    def _scores(self, queries: Any) -> Floats:
        """Scores of all passages, float32 [n_queries, n_passages]; ``-inf`` where no word is shared."""
        product = (queries @ self._weights).tocoo()
        # What is there shares a word, also where rare weighting schemes give that 0.
        scores = np.full(product.shape, -np.inf, dtype=np.float32)
        scores[product.row, product.col] = product.data
        return scores

    def _forget(self) -> None:
        """Words of queries that the corpus does not have are remembered by the tokenizer: not without end."""
        if self.stemmer is not None and len(self._tokenizer.word_to_stem) > _WORDS_REMEMBERED:
            self._tokenizer.word_to_stem, self._tokenizer.word_to_id = {}, {}

    @property
    def _weights(self) -> Any:
        """Weight of each word in each passage, CSR [words, passages]; computed when first asked for."""
        import scipy.sparse

        computed = self._computed
        if computed is None:
            frequencies = self._fitted()
            alive = None
            if self._passages is not None and self._passages.alive is not None:
                alive = self._passages.alive[self._passages.document]
            weights = bm25_weights(frequencies, alive, variant=self.variant, k1=self.k1, b=self.b, delta=self.delta)
            matrix = (weights, frequencies.indices, frequencies.indptr)
            self._computed = computed = scipy.sparse.csr_array(matrix, shape=frequencies.shape, copy=False)
        return computed

    def save_state(self, folder: Path) -> None:
        frequencies = self._fitted()
        most = int(frequencies.data.max(initial=0))
        np.save(folder / "frequencies.npy", frequencies.data.astype(np.min_scalar_type(most)))
        np.save(folder / "indices.npy", frequencies.indices)
        np.save(folder / "indptr.npy", frequencies.indptr)
        vocabulary = json.dumps(self._tokenizer.get_vocab_dict(), ensure_ascii=False)
        (folder / "vocabulary.json").write_text(vocabulary, encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        import scipy.sparse

        if (folder / "data.npy").is_file():  # weights, of which frequencies cannot be made
            self.fit(context)
            return
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        self._tokenizer = self._new_tokenizer(vocabulary)
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frequencies", "indices", "indptr"))
        shape = (len(vocabulary), len(context.passages))
        self._set(scipy.sparse.csr_array(tuple(arrays), shape=shape, copy=False), context.passages)

    def _set(self, frequencies: Any, passages: Passages) -> None:
        self._frequencies, self._passages, self._computed, self._forward = frequencies, passages, None, None

    def _fitted(self) -> Any:
        if self._frequencies is None:
            raise NotFittedError("'bm25' has not been fitted: fit the pipeline it is in first")
        return self._frequencies

    def _new_tokenizer(self, vocabulary: dict[str, int]) -> Any:
        """A tokenizer that knows these words (stems, with a stemmer) by their rows, and goes on counting."""
        from bm25s.tokenization import Tokenizer

        stemmer = None
        if self.stemmer is not None:
            import Stemmer

            stemmer = Stemmer.Stemmer(self.stemmer)
        tokenizer = Tokenizer(
            lower=self.lowercase, splitter=self.token_pattern, stopwords=self.stopwords, stemmer=stemmer
        )
        if self.stemmer is None:
            tokenizer.word_to_id = vocabulary
        else:
            tokenizer.stem_to_sid = vocabulary
        return tokenizer
