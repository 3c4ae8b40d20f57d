"""A dense encoder trained on from judged questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Vectors
from rag.embedders.around import AroundEmbedder
from rag.embedders.base import Embedder
from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
from rag.errors import ConfigError, NotFittedError
from rag.models import model_content
from rag.rerankers.base import Scorer
from rag.rerankers.fine_tuned.base import FineTuned
from rag.rerankers.fine_tuned.mining import mined, nearest
from rag.rerankers.fine_tuned.training import MODEL, judged, train, weights

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["FineTunedEmbedder"]

_MINED = 100
"""Passages of each question's list that negatives are looked for in."""


class FineTunedEmbedder(FineTuned, AroundEmbedder):
    """Trains a copy of another encoder on the training queries, their relevant passages and hard ones that are not.

    Negatives are looked for in the encoder's own list; others of a step, and mined ones, that the untrained encoder
    takes to be nearer to the question than the relevant passage is are masked: they are probably relevant, and nobody
    judged them (GISTEmbed, Solatorio 2024). Weights are kept in the store under the content of the encoder, the
    training data and the arguments; training that was stopped goes on there. Passages are embedded anew, once for each
    set of weights: ``adapted`` costs seconds instead.

    What learns behind it from the same training queries sees better vectors than new questions will get.
    Needs the extra ``train``.

    Args:
        embedder: The encoder to start from.
        positives: Relevant documents of a question that are learned from, at most.
        negatives: Hard passages for each of these.
        skip: First ranks of the list that no negative is taken from: what stands there unjudged is often relevant.
        margin: A negative's cosine is at most (1 - margin) times that of the relevant passage.
        dimensions: Train the first so many dimensions to be of use alone, too (Matryoshka, Kusupati et al. 2022), for
            the index ``truncate``. None trains the whole.
        distilled_from: A scorer whose differences between passages are learned instead of judgments alone
            (MarginMSE, Hofstaetter et al. 2020).
        temperature: Temperature of the cosines in the softmax.
        epochs: Passes over the data.
        batch_size: Questions per step; the other questions' passages are negatives, too.
        learning_rate: Learning rate of AdamW, after a warm-up over the first tenth of the steps.
    """

    type = "fine_tuned"
    needs = frozenset({"training"})
    _libraries = ("sentence-transformers", "transformers", "torch")
    embedder: SentenceTransformerEmbedder

    def __init__(
        self,
        *,
        embedder: SentenceTransformerEmbedder,
        positives: Annotated[int, Field(ge=1)] = 5,
        negatives: Annotated[int, Field(ge=1)] = 1,
        skip: Annotated[int, Field(ge=0)] = 10,
        margin: Annotated[float, Field(ge=0, lt=1)] = 0.05,
        dimensions: Sequence[Annotated[int, Field(ge=1)]] | None = None,
        distilled_from: Scorer | None = None,
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        epochs: Annotated[int, Field(ge=1)] = 1,
        batch_size: Annotated[int, Field(ge=2)] = 32,
        learning_rate: Annotated[float, Field(gt=0)] = 2e-5,
    ) -> None:
        self.embedder = embedder
        self.positives = positives
        self.negatives = negatives
        self.skip = skip
        self.margin = margin
        self.dimensions = None if dimensions is None else list(dimensions)
        self.distilled_from = distilled_from
        self.temperature = temperature
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self._tuned: _Tuned | None = None

    # -- vectors ------------------------------------------------------------------------------------------------------

    @property
    def base(self) -> Embedder:
        if self._tuned is None:
            raise NotFittedError.of(self)
        return self._tuned

    @property
    def dimension(self) -> int:
        return self.base.dimension

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.base.embed_queries(texts)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.base.embed_documents(texts, advance=advance)

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        judged(self, context)
        wide = [size for size in self.dimensions or () if size >= self.embedder.dimension]
        if wide:
            raise ConfigError(
                f"must be less than the encoder's own {self.embedder.dimension}, got {wide[0]}", parameter="dimensions"
            )
        self._take(weights(self, context, lambda folder: self._train(context, folder)))

    def _take(self, model: Path) -> None:
        own = dict(self.embedder.spec.arguments)
        self._tuned = _Tuned(**own | {"model": str(model.resolve()), "revision": None})

    def _train(self, context: FitContext, folder: Path) -> None:
        training, gains = judged(self, context)
        batch = QueryBatch(training.queries, store=context.store, ledger=context.ledger)
        queries, documents = batch.embeddings(self.embedder), context.embed_passages(self.embedder)
        examples = mined(
            nearest(queries, documents, context.passages, _MINED),
            gains,
            context.passages,
            n_positives=self.positives,
            n_negatives=self.negatives,
            skip=self.skip,
            margin=self.margin,
        )
        rows, right, wrong = examples.triples()
        if not len(rows):
            raise ConfigError("no passage is left as a negative: lower it", parameter="skip")
        data: dict[str, Any] = {
            "query": [training.queries[row].text for row in rows.tolist()],
            "positive": context.passages.texts(right),
            "negative": context.passages.texts(wrong),
        }
        spread = 1.0
        if self.distilled_from is not None:
            teacher = self.distilled_from
            label = teacher.score(batch, rows, right) - teacher.score(batch, rows, wrong)
            own = np.einsum("nd,nd->n", queries[rows], documents[right] - documents[wrong])
            spread = float(label.std() / own.std()) if own.std() > 0 and label.std() > 0 else 1.0
            data["label"] = label.tolist()
        train(
            self.embedder.encoder,
            data,
            lambda model: self._loss(model, spread),
            folder,
            context=context,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=self.embedder.device,
        )

    def _loss(self, model: Any, spread: float) -> Any:
        from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss, MarginMSELoss, MatryoshkaLoss
        from sentence_transformers.util import pairwise_cos_sim

        loss: Any
        if self.distilled_from is not None:  # cosines are of another scale than the teacher's scores
            loss = MarginMSELoss(model, similarity_fct=lambda a, b: spread * pairwise_cos_sim(a, b))
        else:
            loss = GISTEmbedLoss(model, guide=self.embedder.encoder, temperature=self.temperature)
        if self.dimensions is not None:
            loss = MatryoshkaLoss(model, loss, [self.embedder.dimension, *sorted(self.dimensions, reverse=True)])
        return loss

    # -- state and telling --------------------------------------------------------------------------------------------

    def _model(self) -> Path | None:
        return None if self._tuned is None else Path(self._tuned.model)

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._take(folder / MODEL)


class _Tuned(SentenceTransformerEmbedder):
    """The trained encoder; identified by the contents of its files, not by their path."""

    type = "fine_tuned_weights"

    def _identity(self) -> dict[str, Any]:
        return super()._identity() | {"model": model_content(self.model, None)}
