"""BM25 over words."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints, top_k_of_scores
from rag.component import Tunable
from rag.corpus.passages import Passages
from rag.errors import ConfigError, DataError, NotFittedError
from rag.retrievers.asked_again import Recipe, TakesFeedback
from rag.retrievers.bm25_weights import bm25_weights
from rag.retrievers.judged import lookup
from rag.retrievers.keys import best_documents
from rag.retrievers.rm3 import expanded
from rag.retrievers.vocabulary import Vocabulary
from rag.text.analyzer import AUTO, Analyzer, check_language, check_pattern, check_stemmer, check_stop_words
from rag.text.remarks import remarks_on, sample

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["BM25"]

logger = logging.getLogger("rag.bm25")

_PRESETS = {"anserini": (0.9, 0.4), "lucene": (1.2, 0.75), "bm25s": (1.5, 0.75)}
"""k1 and b."""

_BLOCK = 1 << 24
"""Scores computed at a time, queries x passages: 64 MiB of float32."""


class BM25(TakesFeedback):
    """Ranks by the words that query and passage share (Robertson and Walker 1994).

    Scores are computed for a whole batch as one product of sparse matrices. Passages that share no word with the query
    are not returned. Kept are the frequencies of words; the weights made of them are computed at the first question, so
    that they are exact after documents came or went. Deleted documents count in no statistic. What a word is, in any
    language, :mod:`rag.text` says.

    Args:
        preset: Published ``k1`` and ``b``, instead of giving them: ``anserini`` .9 / .4, tuned on passages; ``lucene``
            1.2 / .75; ``bm25s`` 1.5 / .75.
        k1: How much repeating a word counts. The default pair 1.5 / .75 is the best of these three on each of five sets
            (benchmarks/README.md).
        b: How much long passages are penalized, 0 to 1.
        variant: How term frequency and rarity are weighted (Kamphuis et al. 2020 compare them).
        delta: Lower bound of a matching term's weight; used by ``bm25l`` and ``bm25+``.
        language: Whose stemmer and stop words are used: an ISO 639-1 code such as ``en`` or an English name, ``none``
            (or None) for neither, or ``auto``, which looks at the texts and says what it chose.
        stemmer: Snowball algorithm such as ``english`` or ``porter``; None compares words as they are. ``auto``: the
            language's.
        stopwords: Words that are dropped: a list's name (``en``, ``de``, ``fr``, ...), a list of words, or None.
            ``auto``: the language's.
        token_pattern: Regular expression of a word, taken at its word: texts are not normalized and scripts without
            spaces not cut. None cuts words by Unicode.
        lowercase: Fold case.
        top_k: Documents returned.
    """

    type = "bm25"
    _libraries = ("bm25s", "PyStemmer")
    _state_version = 2  # frequencies; 1 had weights

    def __init__(
        self,
        *,
        preset: Literal["anserini", "lucene", "bm25s"] | None = None,
        k1: Annotated[float, Field(ge=0), Tunable(low=0.6, high=2.1, step=0.3, gain=0.006)] = 1.5,
        b: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.2, 0.4, 0.6, 0.75, 0.9), gain=0.006)] = 0.75,
        variant: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene",
        delta: Annotated[float, Field(ge=0)] = 0.5,
        language: str | None = AUTO,
        stemmer: str | None = AUTO,
        stopwords: str | list[str] | None = AUTO,
        token_pattern: str | None = None,
        lowercase: bool = True,
        top_k: Annotated[int, Field(ge=1), Tunable(choices=(50, 100, 200, 500), gain=0.002)] = 100,
    ) -> None:
        self.preset = preset
        self.k1 = k1
        self.b = b
        self.variant = variant
        self.delta = delta
        self.stemmer = stemmer
        self.stopwords = stopwords
        self.token_pattern = token_pattern
        self.lowercase = lowercase
        self.top_k = top_k
        self.language = language
        self._vocabulary: Vocabulary | None = None
        self._frequencies: Any = None  # scipy.sparse.csr_array [words, passages]
        self._computed: Any = None  # the weights, likewise
        self._forward: Any = None  # frequencies by passage and lengths of passages, once feedback asks for them
        self._passages: Passages | None = None
        self._notes: tuple[str, ...] = ()
        self._language = check_language(language)
        check_pattern(token_pattern)
        check_stemmer(stemmer)
        check_stop_words(stopwords)

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """``k1`` and ``b`` as the preset has them."""
        if values["preset"] is None:
            return values
        pair = dict(zip(("k1", "b"), _PRESETS[values["preset"]], strict=True))
        for name, value in pair.items():
            if values[name] not in (value, cls.spec.parameters[name].default):
                message = f"preset '{values['preset']}' has {value:g}, got {values[name]:g}: give one of them"
                raise ConfigError(message, parameter=name)
        return values | pair

    def _identity(self) -> dict[str, Any]:
        """Without the preset, which only names ``k1`` and ``b``, and without the language where it decides nothing:
        such are the arguments of indexes older than they are.
        """
        identity = super()._identity()
        del identity["preset"]
        if not self._uses_language:
            del identity["language"]
        return identity

    @property
    def _uses_language(self) -> bool:
        return self.token_pattern is None or AUTO in (self.stemmer, self.stopwords)

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def fit(self, context: FitContext) -> None:
        asked = self._language if self._uses_language else None
        language, remarks = remarks_on(sample(context.passages), asked, self.token_pattern)
        self._vocabulary = Vocabulary(self._analyzer(language), {})
        self._notes = tuple(f"bm25: {remark}" for remark in remarks)
        for note in self._notes:
            logger.info(note)
        self._set(self._counted(context, 0), context.passages)
        self._check()

    def update(self, context: UpdateContext, kept: Ints) -> None:
        import scipy.sparse

        frequencies: Any = self._fitted()
        old = self._words()
        rows = dict(old.rows)
        if len(kept) < frequencies.shape[1]:
            frequencies = frequencies[:, kept]
            known = np.diff(frequencies.indptr) > 0  # words of the passages that went are forgotten
            places = np.cumsum(known) - 1
            rows = {word: int(places[place]) for word, place in rows.items() if known[place]}
            frequencies = frequencies[known]
        self._vocabulary = Vocabulary(old.analyzer, rows)
        if len(kept) < len(context.passages):
            new = self._counted(context, len(kept))
            n_words = new.shape[0] - frequencies.shape[0]  # that were not known
            indptr = np.pad(frequencies.indptr, (0, n_words), mode="edge")
            arrays = (frequencies.data, frequencies.indices, indptr)
            before: Any = scipy.sparse.csr_array(arrays, shape=(new.shape[0], len(kept)), copy=False)
            frequencies = scipy.sparse.hstack([before, new], format="csr")
        if frequencies is self._frequencies:
            context.keep(self)
        self._set(frequencies, context.passages)
        self._check()

    def _counted(self, context: FitContext, start: int) -> Any:
        """Frequencies in the passages from one on, CSR [words known then, passages]; new words become known."""
        import scipy.sparse

        vocabulary = self._words()
        owners, words = [], []
        first = 0
        with context.progress("indexing words (bm25)", len(context.passages) - start) as advance:
            for block in context.passages.iter_texts(start):
                rows, lengths = vocabulary.learn(block)
                words.append(rows)
                owners.append(np.repeat(np.arange(first, first + len(block), dtype=np.int32), lengths))
                first += len(block)
                advance(len(block))
        self._vocabulary = vocabulary.learned()
        places = (np.concatenate(words), np.concatenate(owners))
        ones = np.ones(len(places[0]), dtype=np.int32)
        shape = (len(vocabulary), first)
        return scipy.sparse.coo_array((ones, places), shape=shape).tocsr()  # which adds up what is repeated

    def _check(self) -> None:
        if not len(self._words()):
            raise DataError("'bm25' found no words in the corpus: every passage is empty or made of stop words")

    def retrieve(self, batch: QueryBatch) -> Candidates:
        self._fitted()
        return self._ranked(batch, self._counts(batch.texts))

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores of all candidates' passages, also of those that the list is too short for."""
        return {"score": self._scores_of(self._counts(batch.texts), candidates)}

    def _scores_of(self, queries: Any, candidates: Candidates) -> Floats:
        """Scores of the candidates' passages for weighted words, float32 [n, k]."""
        found = np.zeros(candidates.documents.shape, dtype=np.float32)
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
        """The queries with words of trusted passages, CSR array [n_queries, words]; computed once for a table."""

        def compute() -> tuple[Candidates, Any]:
            return trusted, self._with_words_of(batch, trusted, recipe)

        # What is remembered holds the table, so that no other one can have its id.
        return batch.remember("expanded", f"{self.fingerprint} {recipe} {id(trusted)}", compute)[1]

    def _with_words_of(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Any:
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
        return Candidates.stacked([self._search(batch.view(rows=part), queries[part]) for part in parts])

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

        columns, lengths = self._words().look_up(texts)
        ones = np.ones(len(columns), dtype=np.float32)
        shape = (len(texts), self._fitted().shape[0])
        return scipy.sparse.csr_array((ones, columns, np.concatenate([[0], np.cumsum(lengths)])), shape=shape)

    def _scores(self, queries: Any) -> Floats:
        """Scores of all passages, float32 [n_queries, n_passages]; ``-inf`` where no word is shared."""
        product = (queries @ self._weights).tocoo()
        scores = np.full(product.shape, -np.inf, dtype=np.float32)
        scores[product.row, product.col] = product.data  # a word that is there has a weight above 0, however common
        return scores

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
        words = self._words()
        (folder / "vocabulary.json").write_text(json.dumps(words.rows, ensure_ascii=False), encoding="utf-8")
        about = {"language": words.analyzer.language, "notes": self._notes}
        (folder / "analysis.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        import scipy.sparse

        if (folder / "data.npy").is_file():  # weights, of which frequencies cannot be made
            self.fit(context)
            return
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        about: dict[str, Any] = {"language": None, "notes": ()}
        if (folder / "analysis.json").is_file():  # older indexes have a pattern, a stemmer and stop words as arguments
            about = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
        self._vocabulary = Vocabulary(self._analyzer(about["language"]), vocabulary)
        self._notes = tuple(about["notes"])
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frequencies", "indices", "indptr"))
        shape = (len(vocabulary), len(context.passages))
        self._set(scipy.sparse.csr_array(tuple(arrays), shape=shape, copy=False), context.passages)

    def _set(self, frequencies: Any, passages: Passages) -> None:
        self._frequencies, self._passages, self._computed, self._forward = frequencies, passages, None, None

    def _fitted(self) -> Any:
        if self._frequencies is None:
            raise NotFittedError.of(self)
        return self._frequencies

    def _words(self) -> Vocabulary:
        if self._vocabulary is None:
            raise NotFittedError.of(self)
        return self._vocabulary

    def _analyzer(self, language: str | None) -> Analyzer:
        return Analyzer(
            language,
            stemmer=self.stemmer,
            stopwords=self.stopwords,
            pattern=self.token_pattern,
            fold=self.lowercase,
        )
