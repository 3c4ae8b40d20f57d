"""A student that trains the encoder itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime
from rag.conversation import conversation_text
from rag.errors import MissingExtraError, NotFittedError
from rag.models import (
    Device,
    Reading,
    SentenceEncoder,
    load_sentence_transformer,
    model_content,
    quiet,
    resolve_device,
)
from rag.models.limits import check_length
from rag.progress import Progress
from rag.summarizers.students.base import Conversations, Student
from rag.summarizers.students.losses import TEMPERATURE, Loss, torch_loss

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from rag.fitting import FitContext

__all__ = ["FineTune"]


class FineTune(Student):
    """Trains a sentence-transformers model, with its own trainer, until a raw conversation's vector matches that of the
    summary. The summaries' vectors stay those of the frozen embedder, so the index is unchanged. Needs a GPU in
    practice; the conversation is read as one text, its latest turns first.

    Args:
        model: Model to start from, preferably the embedder's own. Its vectors must have the dimension of the
            embedder's.
        budget: Number of words read of a conversation.
        loss: ``info_nce`` with the rest of the batch as negatives, ``cosine`` or ``mse``.
        temperature: Temperature of the cosines in ``info_nce``.
        epochs: Passes over the pairs.
        batch_size: Pairs per step.
        learning_rate: Learning rate of AdamW, after a warm-up over the first tenth of the steps.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
    """

    type = "fine_tune"
    _libraries = ("sentence-transformers", "transformers", "torch")

    def __init__(
        self,
        model: str,
        *,
        budget: Annotated[int, Field(ge=1)] = 180,
        loss: Loss = "info_nce",
        temperature: Annotated[float, Field(gt=0)] = TEMPERATURE,
        epochs: Annotated[int, Field(ge=1)] = 3,
        batch_size: Annotated[int, Field(ge=2)] = 64,
        learning_rate: Annotated[float, Field(gt=0)] = 5e-5,
        device: Annotated[Device, Runtime()] = "auto",
    ) -> None:
        self.model = model
        self.budget = budget
        self.loss: Loss = loss
        self.temperature = temperature
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self._encoder: SentenceTransformer | None = None
        self._reader: SentenceEncoder | None = None

    def _preflight(self) -> None:
        check_length("budget", self.budget, self.model)  # in words, each of which is at least a token

    def _model_digest(self) -> Any:
        return model_content(self.model, None)

    def learn(self, conversations: Conversations, targets: Vectors, *, seed: int, progress: Progress) -> None:
        try:
            import accelerate  # noqa: F401 - what the trainer of transformers stands on
        except ImportError:
            raise MissingExtraError("student 'fine_tune'", package="accelerate", extra="train") from None
        import copy

        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardCallback
        from transformers import PrinterCallback

        # The loaded model is shared by all components that name it, so a copy is trained.
        encoder = copy.deepcopy(load_sentence_transformer(self.model, device=self.device))
        data = Dataset.from_dict({"text": self._texts(conversations), "label": np.asarray(targets, np.float32)})
        steps = -(-len(data) // self.batch_size) * self.epochs
        with tempfile.TemporaryDirectory(prefix="rag-fine-tune-") as folder, progress("fine-tuning", None):
            arguments = SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=self.epochs,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                warmup_steps=steps // 10,
                seed=seed,
                data_seed=seed,
                use_cpu=resolve_device(self.device) == "cpu",
                bf16=False,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_strategy="no",
                dataloader_pin_memory=False,
            )
            trainer = SentenceTransformerTrainer(
                model=encoder, args=arguments, train_dataset=data, loss=self._loss_module(encoder)
            )
            for callback in list(trainer.callback_handler.callbacks):
                if isinstance(callback, (PrinterCallback, SentenceTransformerModelCardCallback)):
                    trainer.remove_callback(callback)  # standard output is for results
            trainer.train()
        self._encoder = encoder.eval()

    def encode(self, conversations: Conversations) -> Vectors:
        if self._encoder is None:
            raise NotFittedError.of(self)
        encoder = self._encoder
        if self._reader is None or self._reader.model is not encoder:
            self._reader = SentenceEncoder(encoder, self.model)
        prompt = (encoder.prompts or {}).get(encoder.default_prompt_name or "", "")
        return self._reader.encode(self._texts(conversations), Reading(query=False, prompt=prompt)).vectors

    def save_state(self, folder: Path) -> None:
        if self._encoder is not None:
            with quiet():
                self._encoder.save_pretrained(str(folder / "encoder"), create_model_card=False)

    def load_state(self, folder: Path, context: FitContext) -> None:
        if (folder / "encoder").is_dir():
            self._encoder = load_sentence_transformer(str((folder / "encoder").resolve()), device=self.device)

    def _texts(self, conversations: Conversations) -> list[str]:
        return [conversation_text(turns, "latest_first_budget", budget=self.budget) for turns in conversations.turns]

    def _loss_module(self, encoder: SentenceTransformer) -> torch.nn.Module:
        import torch

        loss, temperature = self.loss, self.temperature

        class ToSummaries(torch.nn.Module):
            """Compares outputs with vectors given as labels."""

            def __init__(self) -> None:
                super().__init__()
                self.model = encoder

            def forward(self, sentence_features: Any, labels: torch.Tensor) -> torch.Tensor:
                outputs = self.model(next(iter(sentence_features)))["sentence_embedding"]
                outputs = torch.nn.functional.normalize(outputs.float(), dim=1)
                return torch_loss(loss, outputs, labels.to(outputs.device).float(), temperature)

        return ToSummaries()
