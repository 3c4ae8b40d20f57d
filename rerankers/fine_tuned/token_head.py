"""Late interaction learned on top of a frozen encoder: a projection of its token vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats, Ints, Vectors
from rag.component import Tunable
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.embedders.principal import principal_directions
from rag.errors import ConfigError, NotFittedError
from rag.learning.gains import Gains, paired_gain
from rag.learning.material import useful_rows
from rag.learning.reports import ReportsLearning
from rag.learning.training import Training
from rag.rerankers.base import Scorer
from rag.rerankers.fine_tuned.head_forms import HeadForm, first_parameters, projected
from rag.rerankers.fine_tuned.head_trainer import HeadTrainer
from rag.rerankers.fine_tuned.judged_tokens import JudgedTokens
from rag.rerankers.fine_tuned.mining import Mined, mined, nearest
from rag.rerankers.fine_tuned.training import MIN_QUERIES, judged
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["TokenHead"]

_MINED = 100
"""Passages of each question's list that negatives are drawn from, and that are ranked to choose the epoch."""
_TAUGHT = 16
"""Of these the first so many, where a scorer is asked for each."""


class TokenHead(AroundEmbedder, TokenEmbedder, ReportsLearning):
    """Projects the token vectors of a frozen encoder to few dimensions, learned from judged questions, for
    ``late_interaction``, ``max_sim`` and ``muvera``; the forms are those of Clavie et al. (2025). The encoder's token
    vectors are computed once for all who use them, and seconds to minutes of learning are enough on a CPU.

    Every form starts as the projection on the main directions of the corpus' tokens. A softmax over relevant passages
    and hard ones that are not, and those of the other questions of a step, is learned from; the epoch that ranks the
    lists of the ``dev`` questions best is kept (without any, of a quarter of the training questions that share no
    document with the others), which may be the one before the first. What learns behind it from the same training
    questions sees better vectors than new questions will get.

    Args:
        embedder: The frozen encoder.
        form: ``linear``, ``two_layers``, ``gated`` or ``residual``.
        width: Dimensions of a projected token.
        hidden: Width of the hidden layer of ``residual``.
        negatives_from: Retriever whose lists hard negatives are drawn from; None takes the nearest passages by the
            encoder's pooled vectors.
        positives: Relevant documents of a question that are learned from, at most; one in each epoch.
        negatives: Hard passages drawn for each question in each epoch.
        skip: First ranks of a list that no negative is taken from: what stands there unjudged is often relevant.
        distilled_from: A scorer whose scores of these passages are learned instead of the judgments (as ColBERTv2:
            Santhanam et al. 2022).
        temperature: Temperature of the mean cosines in the softmax.
        epochs: Passes over the questions, at most.
        patience: Epochs without a better one after which it stops.
        batch_size: Questions per step.
        learning_rate: Learning rate of Adam.
    """

    type = "token_head"
    needs = frozenset({"training", "corpus"})
    trained_for_max_sim = True
    _libraries = ("torch",)
    embedder: TokenEmbedder

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        form: Annotated[HeadForm, Tunable(choices=("linear", "gated", "residual"), gain=0.005)] = "linear",
        width: Annotated[int, Field(ge=1), Tunable(choices=(64, 128), gain=0.005)] = 128,
        hidden: Annotated[int, Field(ge=1)] = 256,
        negatives_from: Retriever | None = None,
        positives: Annotated[int, Field(ge=1)] = 10,
        negatives: Annotated[int, Field(ge=1)] = 4,
        skip: Annotated[int, Field(ge=0, lt=_MINED)] = 0,
        distilled_from: Scorer | None = None,
        temperature: Annotated[float, Field(gt=0)] = 0.03,
        epochs: Annotated[int, Field(ge=1)] = 20,
        patience: Annotated[int, Field(ge=1)] = 3,
        batch_size: Annotated[int, Field(ge=2)] = 32,
        learning_rate: Annotated[float, Field(gt=0)] = 5e-4,
    ) -> None:
        self.embedder = embedder
        self.form = form
        self.width = width
        self.hidden = hidden
        self.negatives_from = negatives_from
        self.positives = positives
        self.negatives = negatives
        self.skip = skip
        self.distilled_from = distilled_from
        self.temperature = temperature
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self._parameters: dict[str, Floats] = {}
        self._about: dict[str, Any] = {}

    # -- vectors ------------------------------------------------------------------------------------------------------

    @property
    def token_source(self) -> TokenEmbedder:
        return self.embedder

    @property
    def dimension(self) -> int:
        return self.width

    def remade_tokens(self, tokens: TokenVectors, *, query: bool) -> TokenVectors:
        if not self._parameters:
            raise NotFittedError.of(self)
        dtype = np.float32 if query else np.float16
        return TokenVectors(projected(self._parameters, tokens.vectors, dtype), tokens.ends)

    def from_tokens(self, tokens: TokenVectors, *, query: bool) -> Vectors:
        return self.remade_tokens(tokens, query=query).pooled()

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return self.remade_tokens(self.embedder.embed_query_tokens(texts), query=True)

    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        tokens = self.remade_tokens(self.embedder.embed_document_tokens(texts, advance=advance)[0], query=False)
        return tokens, tokens.pooled()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_query_tokens(texts).pooled()

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.embed_document_tokens(texts, advance=advance)[1]

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        for _, child in self.spec.children():
            context.fit(child)
        training, _ = judged(self, context)
        if self.width > self.embedder.dimension:
            raise ConfigError(
                f"must be at most the token vectors' {self.embedder.dimension} dimensions, got {self.width}",
                parameter="width",
            )
        rows, dev = useful_rows(training, context), training.dev
        if dev is None or not len(useful_rows(dev, context)):
            apart = context.unseen("documents").folds[rows] == 0
            apart = apart if 0 < apart.sum() < len(rows) else rows % 4 == 0
            dev, rows = _part(training, rows[apart]), rows[~apart]
        judge = JudgedTokens(context, self.embedder, dev, lambda batch: self._lists(batch, context))
        trainer = self._trainer(context, _part(training, rows))
        self._learn(context, trainer, judge)

    def _learn(self, context: FitContext, trainer: HeadTrainer, judge: JudgedTokens) -> None:
        """Train, and keep the epoch that ranks the questions best that nothing is learned from."""
        frozen = judge.quality(None)
        self._parameters = trainer.parameters
        first = best = judge.quality(self._parameters)
        chosen, losses = 0, list[float]()
        with context.progress("learning a projection of tokens (token_head)", self.epochs) as advance:
            for epoch in range(1, self.epochs + 1):
                losses.append(trainer.epoch())
                advance(1)
                now = judge.quality(trainer.parameters)
                if np.nanmean(now) > np.nanmean(best):
                    best, chosen, self._parameters = now, epoch, trainer.parameters
                elif epoch - chosen >= self.patience:
                    break
        gain, error = paired_gain(best, frozen)
        named = {"frozen": frozen, "first": first, "learned": best}
        self._about = {name: float(np.nanmean(values)) for name, values in named.items()}
        self._about |= {"gain": gain, "error": error}
        self._about |= {"epoch": chosen, "losses": losses, "questions": judge.n_questions}

    def _trainer(self, context: FitContext, training: Training) -> HeadTrainer:
        batch = QueryBatch(training.queries, store=context.store, ledger=context.ledger)
        gains = Gains(training.queries, training.qrels, context.corpus)
        examples = mined(
            self._lists(batch, context),
            gains,
            context.passages,
            n_positives=self.positives,
            n_negatives=_MINED if self.distilled_from is None else _TAUGHT,
            skip=self.skip,
            margin=None,
        )
        queries, tokens = batch.token_vectors(self.embedder), context.embed_passage_tokens(self.embedder)
        usable = (np.diff(queries.ends)[examples.rows] > 0) & (np.diff(tokens.ends)[examples.positives] > 0)
        silent = np.isin(examples.negatives, np.flatnonzero(np.diff(tokens.ends) == 0))
        examples = examples.only(usable, without=silent)
        if len(np.unique(examples.rows)) < MIN_QUERIES // 2:
            raise ConfigError(f"{self.spec.label}: too few of the training questions and their passages have tokens")
        directions = principal_directions(tokens.vectors, self.width)
        return HeadTrainer(
            first_parameters(self.form, directions, self.hidden, context.seed),
            queries,
            tokens,
            examples,
            _relevant(gains, context),
            n_negatives=self.negatives,
            teacher=None if self.distilled_from is None else _scores(self.distilled_from, batch, examples),
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=context.seed,
        )

    def _lists(self, batch: QueryBatch, context: FitContext) -> Candidates:
        """A list of passages for each question."""
        if self.negatives_from is not None:
            return batch.found_by(self.negatives_from, recorded=False).head(_MINED)
        documents = context.embed_passages(self.embedder)
        return nearest(batch.embeddings(self.embedder), documents, context.passages, _MINED)

    # -- state and telling --------------------------------------------------------------------------------------------

    def save_state(self, folder: Path) -> None:
        if not self._parameters:
            raise NotFittedError.of(self)
        np.savez(folder / "head.npz", **self._parameters)  # type: ignore[arg-type]
        (folder / "head.json").write_text(json.dumps(self._about), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        with np.load(folder / "head.npz") as arrays:
            self._parameters = {name: arrays[name] for name in arrays.files}
        self._about = json.loads((folder / "head.json").read_text(encoding="utf-8"))

    def learned_report(self) -> Mapping[str, Any]:
        """What the frozen tokens, the first projection and the learned one rank, and the loss of every epoch."""
        return self._about

    def notes(self) -> tuple[str, ...]:
        if not self._about:
            return ()
        about = self._about
        return (
            f"token_head keeps epoch {about['epoch']}: nDCG@10 of the lists of {about['questions']:,} questions that "
            f"it did not learn from, by frozen tokens {about['frozen']:.4f}, projected {about['first']:.4f}, learned "
            f"{about['learned']:.4f} ({about['gain']:+.4f} ± {about['error']:.4f} to frozen); it has seen the training "
            "queries, so what learns behind it from them expects too much",
        )


def _part(training: Training, rows: Ints) -> Training:
    """Some of the training questions."""
    return Training([training.queries[row] for row in rows.tolist()], training.qrels)


def _relevant(gains: Gains, context: FitContext) -> Any:
    """Whether each passage belongs to a relevant document, CSR array of bool [questions, passages]."""
    import scipy.sparse

    rows, columns = np.nonzero(gains.table.mask)
    places = (rows, gains.table.documents[rows, columns])
    shape = (len(gains.table), len(context.corpus))
    documents = scipy.sparse.csr_array((np.ones(len(rows), dtype=bool), places), shape=shape)
    return scipy.sparse.csr_array(documents[:, context.passages.document])


def _scores(teacher: Scorer, batch: QueryBatch, examples: Mined) -> Floats:
    """A scorer's scores of each pair's relevant passage and of its negatives, float32 [n, 1 + k]; 0 at padding."""
    passages = np.concatenate([examples.positives[:, None], examples.negatives], axis=1)
    there = passages >= 0
    n = int(passages.max()) + 1
    keys = examples.rows[:, None] * n + np.maximum(passages, 0)
    distinct, inverse = np.unique(keys[there], return_inverse=True)
    scores = np.zeros(passages.shape, dtype=np.float32)
    scores[there] = teacher.score(batch, distinct // n, distinct % n)[inverse]
    return scores
