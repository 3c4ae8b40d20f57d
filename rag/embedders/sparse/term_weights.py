"""A sparse encoder that learns weights of words from judged questions, over a frozen encoder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.embedders.base import TokenEmbedder
from rag.embedders.sparse.base import SparseEmbedder, strongest_terms
from rag.embedders.sparse.term_trainer import TermTrainer, worth
from rag.embedders.sparse.token_pairs import TokenPairs, token_pairs
from rag.errors import ConfigError, NotFittedError
from rag.learning.gains import Gains
from rag.remarks import Remark

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.learning.training import Training

__all__ = ["TermWeights"]

_K1, _B = 1.2, 0.75
"""Of BM25's saturation, which a weight is a multiple of."""
_MIN_QUERIES = 20
_HELD_OUT = 0.2
"""Of the training queries, where there are no others to choose the epoch by."""
_SAMPLE = 500
"""Passages that FLOPS and active terms are measured on."""
_FIRST_FLOPS = 1e-4
_DEPTH = 10


class TermWeights(SparseEmbedder):
    """Weights of a text's own tokens: BM25's saturated frequency times ``max(0, 1 + h u + b)``, where h is the mean of
    the token's vectors in the text by a frozen encoder; queries weigh their tokens by rarity and count.

    Untrained that is BM25 over the encoder's tokens; u and b are learned from judged questions by a softmax over all
    passages, after DeepCT and DeepImpact (Dai and Callan 2020; Mallia et al. 2021), with FLOPS regularization (Paria et
    al. 2020). The epoch that ranks best on the ``dev`` queries is kept (without any, on a fifth of the training
    queries), which may be the one before the first. A query needs no model at all. Filters of training queries are not
    looked at.

    Args:
        embedder: Makes the token vectors; it stays as it is.
        epochs: Passes over the training queries, at most.
        patience: Epochs without a better one after which it stops.
        learning_rate: Learning rate of Adam.
        batch_size: Queries per step.
        flops: Factor of the weights' FLOPS in the loss: a larger factor leaves fewer terms.
        target_active_dims: Terms that a passage keeps on average: ``flops`` is raised until that is reached, and the
            weakest terms beyond it are left out. None has no target.
    """

    type = "term_weights"
    needs = frozenset({"training"})

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        epochs: Annotated[int, Field(ge=1)] = 30,
        patience: Annotated[int, Field(ge=1)] = 5,
        learning_rate: Annotated[float, Field(gt=0)] = 0.01,
        batch_size: Annotated[int, Field(ge=1)] = 64,
        flops: Annotated[float, Field(ge=0)] = 0.0,
        target_active_dims: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self.embedder = embedder
        self.epochs = epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.flops = flops
        self.target_active_dims = target_active_dims
        self._parameters: Floats | None = None
        self._rarity: Floats = np.zeros(0, dtype=np.float32)
        self._mean = 1.0

    def _preflight(self) -> None:
        if self.embedder.pools_tokens:
            raise ConfigError(
                f"needs a vector for every token, which {self.embedder.spec.label} merges", parameter="embedder"
            )

    # -- weights ------------------------------------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        return len(self._rarity)

    def terms(self, columns: Sequence[int]) -> list[str]:
        tokenizer = self.embedder.tokenizer()
        return [tokenizer.id_to_token(column) or str(column) for column in columns]

    def embed_queries(self, texts: Sequence[str]) -> Any:
        self._fitted()
        return self.checked(self._queries(texts), len(texts))

    def embed_documents(self, texts: Sequence[str]) -> Any:
        self._fitted()
        tokens, _ = self.embedder.embed_document_tokens(texts)
        return self._weighted(list(token_pairs(self.embedder, texts, tokens)), len(texts))

    def embed_passages(self, context: FitContext, start: int = 0) -> Iterator[Any]:
        tokens = context.embed_passage_tokens(self.embedder, start=start)
        first = 0
        for block in context.passages.iter_texts(start):
            part = tokens.take(np.arange(first, first + len(block)))
            yield self._weighted(list(token_pairs(self.embedder, block, part)), len(block))
            first += len(block)

    def _weighted(self, parts: Sequence[TokenPairs], n: int) -> Any:
        import scipy.sparse

        if not parts:
            return scipy.sparse.csr_array((0, self.dimension), dtype=np.float32)
        pairs = TokenPairs.joined(parts)
        values = self._base(pairs) * worth(pairs.vectors.astype(np.float32), self._fitted())
        table = scipy.sparse.csr_array((values, (pairs.texts, pairs.tokens)), shape=(n, self.dimension))
        table.eliminate_zeros()
        return strongest_terms(self.checked(table, n), self.target_active_dims)

    def _base(self, pairs: TokenPairs) -> Floats:
        """BM25's saturation, float32 [m]."""
        norm = 1 - _B + _B * pairs.lengths[pairs.texts] / self._mean
        return np.asarray((_K1 + 1) * pairs.counts / (pairs.counts + _K1 * norm), dtype=np.float32)

    def _queries(self, texts: Sequence[str]) -> Any:
        import scipy.sparse

        encodings: Any = self.embedder.tokenizer().encode_batch(list(texts), add_special_tokens=False)
        rows = np.repeat(np.arange(len(texts)), [len(encoding.ids) for encoding in encodings])
        columns = np.array([token for encoding in encodings for token in encoding.ids], dtype=np.int64)
        shape = (len(texts), self.dimension)
        return scipy.sparse.csr_array((self._rarity[columns], (rows, columns)), shape=shape)

    def _fitted(self) -> Floats:
        if self._parameters is None:
            raise NotFittedError.of(self)
        return self._parameters

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        training = context.training
        if training is None:
            raise ConfigError("'term_weights' learns from judged training queries: none were given")
        n = self.embedder.tokenizer().get_vocab_size()
        self._rarity = np.ones(n, dtype=np.float32)
        asked = np.zeros(n, dtype=bool)
        asked[self._queries([query.text for query in training.queries]).indices] = True
        if training.dev is not None:
            asked[self._queries([query.text for query in training.dev.queries]).indices] = True
        drawn = np.zeros(len(context.passages), dtype=bool)
        drawn[np.random.default_rng(context.seed).permutation(len(drawn))[:_SAMPLE]] = True
        pairs, frequencies = self._pairs(context, asked, drawn)
        self._mean = max(float(pairs.lengths.mean()), 1.0)
        rarity = np.log1p((len(drawn) - frequencies + 0.5) / (frequencies + 0.5))
        self._rarity = rarity.astype(np.float32)
        self._parameters = np.zeros(pairs.vectors.shape[1] + 1, dtype=np.float32)
        self._learn(context, training, pairs.only(asked[pairs.tokens]), pairs.only(drawn[pairs.texts]))

    def _pairs(self, context: FitContext, asked: Any, drawn: Any) -> tuple[TokenPairs, Ints]:
        """Pairs of what was asked or drawn, and how many passages have each token."""
        tokens = context.embed_passage_tokens(self.embedder)
        frequencies = np.zeros(self.dimension, dtype=np.int64)
        parts = []
        first = 0
        for block in context.passages.iter_texts():
            vectors = tokens.take(np.arange(first, first + len(block)))
            for part in token_pairs(self.embedder, block, vectors):
                frequencies += np.bincount(part.tokens, minlength=self.dimension)
                here = drawn[first : first + len(part.lengths)]
                parts.append(part.only(asked[part.tokens] | here[part.texts]))
                first += len(part.lengths)
        return TokenPairs.joined(parts), frequencies

    def _learn(self, context: FitContext, training: Training, pairs: TokenPairs, sample: TokenPairs) -> None:
        gains = Gains(training.queries, training.qrels, context.corpus)
        useful = np.flatnonzero(gains.table.counts)
        if len(useful) < _MIN_QUERIES:
            message = (
                f"'term_weights' learned nothing: {len(useful)} of {len(training.queries)} training queries have a "
                f"relevant document, and {_MIN_QUERIES} are needed; its weights are BM25's"
            )
            context.note(Remark("learned_nothing", message, count=len(useful), total=len(training.queries)))
            return
        judge, held = training, useful
        if training.dev is not None:
            judge = training.dev
            held = np.flatnonzero(Gains(judge.queries, judge.qrels, context.corpus).table.counts)
        else:
            mixed = np.random.default_rng(context.seed).permutation(useful)
            held, useful = np.split(mixed, [max(1, int(_HELD_OUT * len(mixed)))])
        trainer = TermTrainer(
            pairs,
            self._base(pairs),
            self._queries([training.queries[row].text for row in useful.tolist()]),
            _relevant(
                context, Gains([training.queries[row] for row in useful.tolist()], training.qrels, context.corpus)
            ),
            sample,
            self._base(sample),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=context.seed,
        )
        self._descend(context, trainer, [judge.queries[row] for row in held.tolist()], judge)

    def _descend(self, context: FitContext, trainer: TermTrainer, asked: Sequence[Any], judge: Training) -> None:
        """Train until the held out queries are ranked no better, and keep the best epoch within the target."""
        gains = Gains(asked, judge.qrels, context.corpus)
        queries = self._queries([query.text for query in asked])

        def quality() -> float:
            return float(gains.ndcg(_ranked(context, queries @ trainer.weights())).mean()) if len(asked) else 0.0

        target = self.target_active_dims
        flops = self.flops or (_FIRST_FLOPS if target else 0.0)
        best, waited = quality() if not flops else -1.0, 0
        with context.progress("learning weights of terms (term_weights)", self.epochs) as advance:
            for _ in range(self.epochs):
                trainer.epoch(flops)
                advance(1)
                if target and trainer.active() > target:
                    flops *= 2
                    if best < 0:  # for when the target is never reached
                        self._parameters = trainer.parameters.copy()
                    continue
                value = quality()
                waited = 0 if value > best else waited + 1
                if value > best:
                    best, self._parameters = value, trainer.parameters.copy()
                if waited >= self.patience:
                    break

    def save_state(self, folder: Path) -> None:
        np.save(folder / "parameters.npy", self._fitted())
        np.save(folder / "rarity.npy", self._rarity)
        (folder / "term_weights.json").write_text(json.dumps({"mean_length": self._mean}), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._parameters, self._rarity = np.load(folder / "parameters.npy"), np.load(folder / "rarity.npy")
        self._mean = float(json.loads((folder / "term_weights.json").read_text(encoding="utf-8"))["mean_length"])


def _relevant(context: FitContext, gains: Gains) -> Any:
    """Which passages are of relevant documents, CSR array of bool [n, passages]."""
    import scipy.sparse

    rows, columns = np.nonzero(gains.table.mask)
    documents = scipy.sparse.csr_array(
        (np.ones(len(rows), dtype=bool), (rows, gains.table.documents[rows, columns])),
        shape=(len(gains.table), len(context.corpus)),
    )
    return scipy.sparse.csr_array(documents[:, context.passages.document])


def _ranked(context: FitContext, scores: Any) -> Candidates:
    """The best documents of each row of scores, CSR array [n, passages]."""
    table = scores.tocoo()
    rows, passages = table.coords
    order = np.argsort(rows, kind="stable")
    ranked = Candidates.from_rows(
        scores.shape[0],
        rows[order].astype(np.int64),
        context.passages.document[passages[order]],
        table.data[order],
        passages[order].astype(np.int64),
    )
    return ranked.best_per_document(_DEPTH)
