"""BM25 over words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints
from rag.component import Tunable
from rag.corpus.passages import Passages
from rag.errors import ConfigError, DataError, NotFittedError
from rag.retrievers.asked_again import Recipe, TakesFeedback
from rag.retrievers.bm25_weights import BM25Weights
from rag.retrievers.inverted import InvertedIndex
from rag.retrievers.keys import best_documents
from rag.retrievers.rm3 import expanded
from rag.retrievers.vocabulary import Vocabulary
from rag.retrievers.word_counts import WordCounts
from rag.text.analyzer import AUTO, Analyzer, check_language, check_pattern, check_stemmer, check_stop_words
from rag.text.remarks import remarks_on

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["BM25"]

logger = logging.getLogger("rag.bm25")

_PRESETS = {"anserini": (0.9, 0.4), "lucene": (1.2, 0.75), "bm25s": (1.5, 0.75)}
"""k1 and b."""

_MOST_TRANSPOSED = 20_000_000
"""Frequencies that are kept transposed, by passage, too, for feedback: 100 MB. Of more, the words of trusted passages
are cut out of their texts again, which takes each question a millisecond.
"""


class BM25(TakesFeedback):
    """Ranks by the words that query and passage share (Robertson and Walker 1994).

    Scores are added up from the postings of the query's words. Passages that share no word with the query are not
    returned. Kept are the frequencies of words; the weights made of them are computed when a word is first asked for,
    so that they are exact after documents came or went. Deleted documents count in no statistic. What a word is, in any
    language, :mod:`rag.text` says.

    Args:
        preset: Published ``k1`` and ``b``, instead of giving them: ``anserini`` .9 / .4, tuned on passages; ``lucene``
            1.2 / .75; ``bm25s`` 1.5 / .75.
        k1: How much repeating a word counts. The default pair 1.5 / .75 is the best of these three on each of five sets
            (benchmarks/README.md).
        b: Penalty on long passages, 0 to 1.
        variant: Formula for term frequency and rarity (Kamphuis et al. 2020 compare them).
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
        self._word_counts: WordCounts | None = None
        self._made: InvertedIndex | None = None
        self._transposed: Any = None
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
        language, remarks = remarks_on(context.passages.sample(), asked, self.token_pattern)
        self._vocabulary = Vocabulary(self._analyzer(language), {})
        self._notes = tuple(f"bm25: {remark}" for remark in remarks)
        for note in self._notes:
            logger.info(note)
        self._set(self._counted(context, 0), context.passages)
        self._check()

    def update(self, context: UpdateContext, kept: Ints) -> None:
        before = counts = self._fitted()
        old = self._words()
        rows = dict(old.rows)
        if len(kept) < len(counts.lengths):
            counts, words = counts.only(kept)
            places = np.full(len(rows), -1)
            places[words] = np.arange(len(words))
            rows = {word: int(places[row]) for word, row in rows.items() if places[row] >= 0}
        self._vocabulary = Vocabulary(old.analyzer, rows)
        if len(kept) < len(context.passages):
            counts = counts.followed_by(self._counted(context, len(kept)))
        if counts is before:
            context.keep(self)
        self._set(counts, context.passages)
        self._check()

    def _counted(self, context: FitContext, start: int) -> WordCounts:
        """Count the words of the passages from a position on; new words enter the vocabulary."""
        vocabulary = self._words()
        with context.progress("indexing words (bm25)", len(context.passages) - start) as advance:

            def blocks() -> Iterator[list[str]]:
                for block in context.passages.iter_texts(start):
                    yield block
                    advance(len(block))

            counts = WordCounts.of(blocks(), vocabulary)
        self._vocabulary = vocabulary.learned()
        return counts

    def _check(self) -> None:
        if not len(self._words()):
            raise DataError(
                "'bm25' found no words in the corpus: every passage is empty (scanned pages?) or made of stop words"
            )

    def retrieve(self, batch: QueryBatch) -> Candidates:
        return self._ranked(batch, self._counts(batch.texts))

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores of all candidates' passages, also of those that the list is too short for."""
        return {"score": self._index.scores_of(self._counts(batch.texts), candidates.passages)}

    def query_features(self, batch: QueryBatch) -> Mapping[str, Floats]:
        """Rarity of the query's words: sum and maximum of log(passages / passages with the word)."""
        queries, frequencies = self._counts(batch.texts), self._fitted().table
        with_word = np.maximum(np.diff(frequencies.indptr), 1)
        queries.data = np.log(frequencies.shape[1] / with_word[queries.indices]).astype(np.float32)
        total = np.asarray(queries.sum(axis=1), dtype=np.float32)
        rarest = queries.max(axis=1).toarray().ravel() if queries.shape[1] else total
        return {"rarity": total, "rarest word": np.asarray(rarest, dtype=np.float32)}

    def scaled_by(self, candidates: Candidates) -> Candidates:
        """Passages that share no word with a query have score 0."""
        return candidates.filled(self.top_k, 0.0)

    def retrieve_again(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Candidates:
        return self._ranked(batch, self._expanded(batch, trusted, recipe))

    def scores_again(
        self, batch: QueryBatch, trusted: Candidates, recipe: Recipe, candidates: Candidates
    ) -> Mapping[str, Floats]:
        return {self.type: self._index.scores_of(self._expanded(batch, trusted, recipe), candidates.passages)}

    def _expanded(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Any:
        """The queries with words of trusted passages, CSR array [n_queries, words]; computed once for a table."""

        def compute() -> tuple[Candidates, Any]:
            return trusted, self._with_words_of(batch, trusted, recipe)

        # What is remembered holds the table, so that no other one can have its id.
        return batch.remember("expanded", f"{self.fingerprint} {recipe} {id(trusted)}", compute)[1]

    def _with_words_of(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Any:
        queries, trusted = self._counts(batch.texts), trusted.head(recipe.documents)
        passages, lengths, trusted = self._words_in(trusted)
        weight = recipe.original_weight
        return expanded(queries, passages, lengths, trusted, terms=recipe.terms, original_weight=weight)

    def _words_in(self, trusted: Candidates) -> tuple[Any, Ints, Candidates]:
        """Words by passage, CSR array [passages, words], the passages' lengths, and the candidates by their rows there:
        the frequencies transposed once, or the texts cut again where that would take much memory.
        """
        import scipy.sparse

        counts = self._fitted()
        if counts.table.nnz <= _MOST_TRANSPOSED:
            if self._transposed is None:
                self._transposed = counts.table.T.tocsr()
            return self._transposed, counts.lengths, trusted
        assert self._passages is not None
        passages, rows = np.unique(trusted.passages[trusted.mask], return_inverse=True)
        words, lengths = self._words().count(self._passages.texts(passages))
        ends = np.concatenate([[0], np.cumsum(lengths)])
        shape = (len(passages), len(self._words()))
        table: Any = scipy.sparse.csr_array((np.ones(len(words), dtype=np.float32), words, ends), shape=shape)
        numbers = np.full(trusted.passages.shape, PADDING, dtype=np.int64)
        numbers[trusted.mask] = rows
        return table, lengths, Candidates(trusted.documents, trusted.scores, numbers)

    def _ranked(self, batch: QueryBatch, queries: Any) -> Candidates:
        """The best documents for weighted words, CSR array [n_queries, words]."""
        assert self._passages is not None
        index = self._index

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            return index.search(queries if isinstance(rows, slice) else queries[rows], k, allowed)

        return best_documents(search, self._passages, self.top_k, batch)

    def _counts(self, texts: Sequence[str]) -> Any:
        """Counts of each word of the corpus in each text, float32 CSR array [n_texts, words]."""
        import scipy.sparse

        columns, lengths = self._words().look_up(texts)
        ones = np.ones(len(columns), dtype=np.float32)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return scipy.sparse.csr_array((ones, columns, ends), shape=(len(texts), self._fitted().table.shape[0]))

    @property
    def _index(self) -> InvertedIndex:
        """Weights by word, computed for the words used so far."""
        import scipy.sparse

        if self._made is None:
            table, lengths = self._fitted()
            alive = None
            if self._passages is not None and self._passages.alive is not None:
                alive = self._passages.alive[self._passages.document]
            weights = BM25Weights(table, lengths, alive, variant=self.variant, k1=self.k1, b=self.b, delta=self.delta)
            arrays = (weights.values, table.indices, table.indptr)
            weighted = scipy.sparse.csr_array(arrays, shape=table.shape, copy=False)
            self._made = InvertedIndex(weighted, prepare=weights.prepare)
        return self._made

    def save_state(self, folder: Path) -> None:
        table, lengths = self._fitted()
        most = int(table.data.max(initial=0))
        np.save(folder / "frequencies.npy", table.data.astype(np.min_scalar_type(most), copy=False))
        np.save(folder / "indices.npy", table.indices)
        np.save(folder / "indptr.npy", table.indptr)
        np.save(folder / "lengths.npy", lengths)
        words = self._words()
        (folder / "vocabulary.json").write_text(json.dumps(words.rows, ensure_ascii=False), encoding="utf-8")
        state = {"language": words.analyzer.language, "notes": self._notes}
        (folder / "analysis.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        import scipy.sparse

        if (folder / "data.npy").is_file():  # weights, of which frequencies cannot be made
            self.fit(context)
            return
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        state: dict[str, Any] = {"language": None, "notes": ()}
        if (folder / "analysis.json").is_file():  # older indexes have a pattern, a stemmer and stop words as arguments
            state = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
        self._vocabulary = Vocabulary(self._analyzer(state["language"]), vocabulary)
        self._notes = tuple(state["notes"])
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frequencies", "indices", "indptr"))
        shape = (len(vocabulary), len(context.passages))
        table: Any = scipy.sparse.csr_array(tuple(arrays), shape=shape, copy=False)
        if (folder / "lengths.npy").is_file():
            lengths = np.load(folder / "lengths.npy", mmap_mode="r")
        else:  # older indexes
            lengths = np.bincount(table.indices, weights=table.data, minlength=shape[1]).astype(np.int64)
        self._set(WordCounts(table, lengths), context.passages)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_made": None, "_transposed": None}  # computed again

    def _set(self, counts: WordCounts, passages: Passages) -> None:
        self._word_counts, self._passages, self._made, self._transposed = counts, passages, None, None

    def _fitted(self) -> WordCounts:
        if self._word_counts is None:
            raise NotFittedError.of(self)
        return self._word_counts

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
