"""The encoder itself, trained on."""

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
from rag.models import Device, inference, load_sentence_transformer, model_content, quiet, resolve_device
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
    """A sentence-transformers model trained on, by its own trainer, until the raw conversation's vector is that of the
    summary. The summaries' vectors stay those of the frozen embedder, so the index is not touched. For those with a
    GPU; the conversation is read as one text, its latest turns first.

    Args:
        model: What to start from: best the embedder's own model. Its vectors must have as many dimensions as the
            embedder's.
        budget: Words of a conversation that are read.
        loss: ``info_nce`` with the others of the batch as negatives, ``cosine`` or ``mse``.
        temperature: Of the cosines in ``info_nce``.
        epochs: Passes over the pairs.
        batch_size: Pairs per step.
        learning_rate: Of AdamW, after a warm-up over the first tenth of the steps.
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

    def _preflight(self) -> None:
        check_length("budget", self.budget, self.model)  # words: each is a token at least

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

        # The loaded model is shared by all who name it: only a copy is trained.
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
        with inference("float32", self._encoder.device.type):
            found = self._encoder.encode(
                self._texts(conversations), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(found, dtype=np.float32)

    def save_state(self, folder: Path) -> None:
        if self._encoder is not None:
            with quiet():
                self._encoder.save_pretrained(str(folder / "encoder"), create_model_card=False)

    def load_state(self, folder: Path, context: FitContext) -> None:
        if (folder / "encoder").is_dir():
            self._encoder = load_sentence_transformer(str((folder / "encoder").resolve()), device=self.device)

    def _texts(self, conversations: Conversations) -> list[str]:
        return [conversation_text(one, "latest_first_budget", budget=self.budget) for one in conversations.turns]

    def _loss_module(self, encoder: SentenceTransformer) -> torch.nn.Module:
        import torch

        loss, temperature = self.loss, self.temperature

        class ToSummaries(torch.nn.Module):
            """Compares with vectors that are given as labels."""

            def __init__(self) -> None:
                super().__init__()
                self.model = encoder

            def forward(self, sentence_features: Any, labels: torch.Tensor) -> torch.Tensor:
                found = self.model(next(iter(sentence_features)))["sentence_embedding"]
                found = torch.nn.functional.normalize(found.float(), dim=1)
                return torch_loss(loss, found, labels.to(found.device).float(), temperature)

        return ToSummaries()
