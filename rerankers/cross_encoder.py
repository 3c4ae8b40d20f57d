"""Cross-encoders."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Runtime
from rag.errors import ModelError
from rag.models import Device, Precision, inference, load_cross_encoder, model_content, resolved_precision
from rag.models.limits import check_length
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["CrossEncoderScorer"]


class CrossEncoderScorer(Scorer):
    """A transformer that reads query and passage together and gives one number (Nogueira and Cho 2019).

    Scores are logits, not squashed by a sigmoid: ranking is the same, and what comes after (thresholds, fusion, CUR)
    keeps the differences at both ends.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH``; a model with one output.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        max_length: Longest pair in tokens; longer passages are cut. None takes the model's own.
        precision: ``auto`` is bfloat16 autocast where the processor has it in hardware, else float32.
        batch_size: Pairs per forward pass; they are sorted by length first.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
        trust_remote_code: Let the model's repository run its own Python code here.
    """

    type = "cross_encoder"

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        max_length: Annotated[int, Field(ge=8, le=1_000_000)] | None = None,
        precision: Precision = "auto",
        batch_size: Annotated[int, Field(ge=1, le=4096), Runtime()] = 32,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.precision = precision
        self.batch_size = batch_size
        self.device = device
        self.trust_remote_code = trust_remote_code

    @cached_property
    def encoder(self) -> CrossEncoder:
        """The loaded model, shared by all components that name it."""
        encoder = load_cross_encoder(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )
        if encoder.num_labels != 1:
            raise ModelError(
                f"the model '{self.model}' has {encoder.num_labels} outputs: a cross-encoder for ranking has one"
            )
        return encoder

    def prepare(self, context: FitContext) -> None:
        super().prepare(context)
        self._model_digest()  # a model that is not there is better missed now than at the first question

    def _preflight(self) -> None:
        check_length("max_length", self.max_length, self.model, self.revision)

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    def _environment(self) -> Any:
        return resolved_precision(self.precision, self.device)

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        import torch

        texts = self.passages.texts(passages)
        pairs = [(batch.texts[row], text) for row, text in zip(rows.tolist(), texts, strict=True)]
        options: dict[str, Any] = {}
        if self.max_length is not None:
            options["processing_kwargs"] = {"text": {"max_length": self.max_length, "truncation": True}}
        with inference(self.precision, self.encoder.device.type):
            scores = self.encoder.predict(
                pairs,
                batch_size=self.batch_size,
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
                convert_to_tensor=True,
                **options,
            )
        return np.asarray(scores.float().cpu().numpy(), dtype=np.float32)
