"""A cross-encoder trained on from judged questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Floats, Ints
from rag.errors import ConfigError, NotFittedError
from rag.models import model_content
from rag.rerankers.base import Scorer
from rag.rerankers.cross_encoder import CrossEncoderScorer
from rag.rerankers.fine_tuned.base import FineTuned
from rag.rerankers.fine_tuned.mining import mined
from rag.rerankers.fine_tuned.training import MODEL, judged, train, weights

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["FineTunedScorer"]


class FineTunedScorer(FineTuned, Scorer):
    """Trains a copy of a cross-encoder on the training queries, their relevant passages and hard ones that are not, of
    those that the steps before it find.

    Weights are kept in the store under the content of the cross-encoder, the training data, the steps before and the
    arguments; training that was stopped goes on there. Its scores of the training queries say too much, so a stage
    learns no blend from them. Needs the extra ``train``.

    Args:
        scorer: The cross-encoder to start from.
        loss: ``binary`` cross-entropy of single pairs, or ``listwise`` over each question's passages (ListNet, Cao et
            al. 2007).
        distilled_from: A scorer whose differences between passages are learned instead (MarginMSE, Hofstaetter et al.
            2020); ``loss`` is not used then.
        positives: Relevant documents of a question that are learned from, at most.
        negatives: Hard passages for each of these.
        skip: First ranks of the list that no negative is taken from.
        epochs: Passes over the data.
        batch_size: Rows per step: pairs, or questions where the loss is listwise.
        learning_rate: Learning rate of AdamW, after a warm-up over the first tenth of the steps.
    """

    type = "fine_tuned"
    needs = frozenset({"training", "candidates"})
    _libraries = ("sentence-transformers", "transformers", "torch")

    def __init__(
        self,
        *,
        scorer: CrossEncoderScorer,
        loss: Literal["binary", "listwise"] = "binary",
        distilled_from: Scorer | None = None,
        positives: Annotated[int, Field(ge=1)] = 5,
        negatives: Annotated[int, Field(ge=1)] = 3,
        skip: Annotated[int, Field(ge=0)] = 5,
        epochs: Annotated[int, Field(ge=1)] = 1,
        batch_size: Annotated[int, Field(ge=2)] = 16,
        learning_rate: Annotated[float, Field(gt=0)] = 2e-5,
    ) -> None:
        self.scorer = scorer
        self.loss: Literal["binary", "listwise"] = loss
        self.distilled_from = distilled_from
        self.positives = positives
        self.negatives = negatives
        self.skip = skip
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self._tuned: _Tuned | None = None

    # -- learning -----------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        judged(self, context)
        upstream = context.upstream_key
        self._take(weights(self, context, lambda folder: self._train(context, folder), upstream), context)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        for _, child in self.spec.children():
            context.fit(child)
        self._trained().update(context, kept)
        self._passages = context.passages
        context.keep(self)

    def _take(self, model: Path, context: FitContext) -> None:
        own = dict(self.scorer.spec.arguments)
        self._tuned = _Tuned(**own | {"model": str(model.resolve()), "revision": None})
        self._tuned.fit(context)

    def _train(self, context: FitContext, folder: Path) -> None:
        _, gains = judged(self, context)
        batch, candidates = context.training_run()
        examples = mined(
            candidates,
            gains,
            context.passages,
            n_positives=self.positives,
            n_negatives=self.negatives,
            skip=self.skip,
            margin=None,
        )
        if not len(examples.triples()[0]):
            raise ConfigError("no passage is left as a negative: lower it", parameter="skip")
        data, loss = self._data(batch, examples, context)
        train(
            self.scorer.encoder,
            data,
            loss,
            folder,
            context=context,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=self.scorer.device,
        )

    def _data(self, batch: QueryBatch, examples: Any, context: FitContext) -> tuple[dict[str, Any], Any]:
        """Columns, and the loss that takes them."""
        from sentence_transformers.cross_encoder import losses

        texts = context.passages.texts
        if self.distilled_from is not None:
            rows, right, wrong = examples.triples()
            label = self.distilled_from.score(batch, rows, right) - self.distilled_from.score(batch, rows, wrong)
            queries = [batch.texts[row] for row in rows.tolist()]
            columns = {"query": queries, "positive": texts(right), "negative": texts(wrong), "label": label.tolist()}
            return columns, losses.MarginMSELoss
        lists = examples.lists()
        if self.loss == "listwise":
            return {
                "query": [batch.texts[row] for row, _, _ in lists],
                "documents": [texts([*right, *wrong]) for _, right, wrong in lists],
                "labels": [[1.0] * len(right) + [0.0] * len(wrong) for _, right, wrong in lists],
            }, losses.ListNetLoss
        pairs = [(row, relevant, 1.0) for row, right, _ in lists for relevant in right]
        pairs += [(row, relevant, 0.0) for row, _, wrong in lists for relevant in wrong]
        return {
            "query": [batch.texts[row] for row, _, _ in pairs],
            "passage": texts([passage for _, passage, _ in pairs]),
            "label": [label for _, _, label in pairs],
        }, losses.BinaryCrossEntropyLoss

    # -- scoring ------------------------------------------------------------------------------------------------------

    def _trained(self) -> _Tuned:
        if self._tuned is None:
            raise NotFittedError.of(self)
        return self._tuned

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return self._trained().score_pairs(batch, rows, passages)

    def score(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return self._trained().score(batch, rows, passages)

    # -- state and telling --------------------------------------------------------------------------------------------

    def _model(self) -> Path | None:
        return None if self._tuned is None else Path(self._tuned.model)

    def load_state(self, folder: Any, context: FitContext) -> None:
        Scorer.load_state(self, folder, context)
        self._take(Path(folder) / MODEL, context)


class _Tuned(CrossEncoderScorer):
    """The trained cross-encoder; identified by the contents of its files, not by their path."""

    type = "fine_tuned_weights"

    def _identity(self) -> dict[str, Any]:
        return super()._identity() | {"model": model_content(self.model, None)}
