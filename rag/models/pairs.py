"""Scoring many pairs of texts by a cross-encoder of sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats
from rag.models.batching import default_budget, token_batches
from rag.models.bert import BertForward
from rag.models.forwards import Backend, Body, Forwards
from rag.models.precision import Precision, exclusive, inference
from rag.models.tokens import Tokenizing

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = ["PairEncoder"]

_EQUAL = 1e-4
"""Largest difference of a score for which a lean forward pass is that of the library."""

_SAMPLE = [("a", "b"), ("where do words go", "Words go where they are put."), ("and what of this text?", "word " * 30)]

_HEADED = {
    "BertForSequenceClassification": "bert",
    "RobertaForSequenceClassification": "roberta",
    "XLMRobertaForSequenceClassification": "roberta",
    "CamembertForSequenceClassification": "roberta",
}
"""Classes of transformers to the name of what is below their head."""


class PairEncoder:
    """A cross-encoder, its pairs tokenized once and batched by tokens, by a lean forward pass where the architecture
    has one that agrees with the library's on a few pairs.

    Args:
        model: The loaded model; of one output.
        name: What it is called, for messages.
        content: Gives the identity of its weights, under which exports are kept.
    """

    def __init__(self, model: CrossEncoder, name: str = "", content: Callable[[], str] | None = None) -> None:
        self.model = model
        self._tokenizing = Tokenizing(model)
        lean = self._lean_body()
        if lean is not None and not self._agrees(lean):
            lean = None
        kind = type(getattr(model[0], "model", model[0])).__name__
        self._forwards = Forwards(name, kind, lean, content)

    def score(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        max_length: int | None = None,
        precision: Precision = "float32",
        backend: Backend = "torch",
        budget: int | None = None,
        most: int | None = None,
    ) -> Floats:
        """Logits of pairs, float32 [n], in their order.

        Args:
            pairs: Any number.
            max_length: Longest pair in tokens; None takes the model's own.
            precision: What to compute in; ``auto`` is not taken.
            backend: What computes it.
            budget: Most tokens of a forward pass; None takes what suits the processor.
            most: Most pairs of a forward pass; None has no limit but the budget.
        """
        with exclusive():
            if self._forwards.lean is None:
                self._forwards.of(backend, precision, 0)
                return self._by_library(pairs, max_length, precision, budget, most)
            ids, types = self._tokens(pairs, max_length)
            body = self._forwards.of(backend, precision, sum(map(len, ids)))
            if body is None:
                return self._by_library(pairs, max_length, precision, budget, most)
            return self._by_body(body, ids, types, precision, budget, most)

    def _tokens(self, pairs: Sequence[tuple[str, str]], max_length: int | None) -> Any:
        return self._tokenizing([a for a, _ in pairs], max_length, [b for _, b in pairs])

    def _by_body(
        self, body: Body, ids: Any, types: Any, precision: str, budget: int | None = None, most: int | None = None
    ) -> Floats:
        import torch

        scores = np.empty(len(ids), dtype=np.float32)
        for rows in token_batches([len(tokens) for tokens in ids], budget or default_budget("cpu"), most):
            places = rows.tolist()
            kinds = None if types is None else [types[row] for row in places]
            with torch.inference_mode():
                hidden = body.hidden([ids[row] for row in places], kinds, precision, first=True)
                scores[rows] = self._head(hidden[:, None]).float().numpy()[:, 0]
        return scores

    def _by_library(
        self, pairs: Sequence[tuple[str, str]], max_length: int | None, precision: Precision, budget: Any, most: Any
    ) -> Floats:
        import torch

        options: dict[str, Any] = {}
        if max_length is not None:
            options["processing_kwargs"] = {"text": {"max_length": max_length, "truncation": True}}
        device = self.model.device.type
        lengths = self._tokenizing.lengths([a for a, _ in pairs], max_length, [b for _, b in pairs])
        scores = np.empty(len(pairs), dtype=np.float32)
        for rows in token_batches(lengths, budget or default_budget(device), most):
            with inference(precision, device):
                logits = self.model.predict(
                    [pairs[row] for row in rows.tolist()],
                    batch_size=len(rows),
                    activation_fn=torch.nn.Identity(),
                    show_progress_bar=False,
                    convert_to_tensor=True,
                    **options,
                )
            scores[rows] = logits.float().cpu().numpy()
        return scores

    def _lean_body(self) -> BertForward | None:
        body: Any = self.model[0]
        known = (
            [type(module).__name__ for module in self.model] == ["Transformer"]
            and self._tokenizing.is_plain
            and body.modality_config["text"] == {"method": "forward", "method_output_name": "logits"}
            and type(body.model).__name__ in _HEADED
            and not (self.model.prompts or {}).get(self.model.default_prompt_name or "")
        )
        return BertForward.of(getattr(body.model, _HEADED[type(body.model).__name__])) if known else None

    def _head(self, first: Any) -> Any:
        """Logits [n, outputs] from the hidden states of first tokens [n, 1, width]."""
        model: Any = self.model[0].model
        return model.classifier(model.bert.pooler(first) if hasattr(model, "bert") else first)

    def _agrees(self, lean: BertForward) -> bool:
        with exclusive():
            expected = self._by_library(_SAMPLE, None, "float32", None, None)
            ids, types = self._tokens(_SAMPLE, None)
            actual = self._by_body(lean, ids, types, "float32")
        largest = max(float(np.abs(expected).max()), 1.0)
        return bool(np.abs(expected - actual).max() < _EQUAL * largest) or not np.isfinite(expected).all()
