"""Cross-encoders."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Runtime
from rag.errors import ModelError
from rag.models import (
    Backend,
    Device,
    PairEncoder,
    Precision,
    check_backend,
    computed_in,
    engines_here,
    environment,
    keep_exports_in,
    load_cross_encoder,
    load_pair_encoder,
    model_content,
)
from rag.models.limits import check_length
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["CrossEncoderScorer"]


class CrossEncoderScorer(Scorer):
    """A transformer that reads query and passage together and returns a score (Nogueira and Cho 2019).

    Scores are logits, not squashed by a sigmoid: ranking is the same, and what comes after (thresholds, fusion, CUR)
    keeps the differences at both ends.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH``; a model with one output.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        max_length: Longest pair in tokens; longer passages are cut. None takes the model's own.
        precision: What products with weights are computed in. ``auto`` is bfloat16 where the processor has it in
            hardware, else float32; ``float16`` is for GPUs; ``int8`` for CPUs and models built like BERT, faster and a
            little off.
        backend: What computes: ``torch``; ``onnx`` (ONNX Runtime: float32, int8) or ``openvino`` (OpenVINO: float32,
            bfloat16), from the extras of these names, for models built like BERT, on a CPU; or ``auto``: one of these
            where it is installed and gives torch's numbers, else torch.
        batch_tokens: Most tokens of a forward pass, padding included; pairs of all queries of a batch are sorted by
            tokens first. None takes what suits the processor.
        batch_size: Most pairs of a forward pass; None has no limit but ``batch_tokens``.
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
        backend: Annotated[Backend, Runtime()] = "auto",
        batch_tokens: Annotated[int, Field(ge=1), Runtime()] | None = None,
        batch_size: Annotated[int, Field(ge=1), Runtime()] | None = None,
        device: Annotated[Device, Runtime()] = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.precision = precision
        self.backend = backend
        self.batch_tokens = batch_tokens
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

    @cached_property
    def _reader(self) -> PairEncoder:
        self.encoder  # noqa: B018 - refuses what is not a cross-encoder for ranking
        return load_pair_encoder(
            self.model, device=self.device, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    def prepare(self, context: FitContext) -> None:
        super().prepare(context)
        keep_exports_in(context.store)
        self._model_digest()  # a model that is not there is better missed now than at the first question

    def _preflight(self) -> None:
        check_length("max_length", self.max_length, self.model, self.revision)
        check_backend(self.backend, self.precision, self.device)

    @classmethod
    def _computed_by(cls) -> str:
        return engines_here()

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    def _environment(self) -> Any:
        return environment(self.backend, self.precision, self.device)

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        texts = self.passages.texts(passages)
        pairs = [(batch.texts[row], text) for row, text in zip(rows.tolist(), texts, strict=True)]
        return self._reader.score(
            pairs,
            max_length=self.max_length,
            precision=computed_in(self.backend, self.precision, self.device),
            backend=self.backend,
            budget=self.batch_tokens,
            most=self.batch_size,
        )
