"""Training by the trainer of sentence-transformers, in a folder in which it goes on after a kill."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.component import Component
from rag.errors import ConfigError, DataError, MissingExtraError
from rag.learning.gains import Gains
from rag.models import quiet, resolve_device
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.learning.training import Training

__all__ = ["MIN_QUERIES", "judged", "train", "trained", "weights"]

MIN_QUERIES = 20
"""Training queries with a relevant document, below which nothing is trained."""

MODEL, _ABOUT, _CHECKPOINTS = "model", "about.json", "checkpoints"


def judged(component: Component, context: FitContext) -> tuple[Training, Gains]:
    """The training queries and their judgments.

    Raises:
        ConfigError: There are none.
        DataError: There are too few to train a model on.
    """
    if context.training is None:
        raise ConfigError(f"{component.spec.label} learns from judged training queries: none were given")
    gains = Gains(context.training.queries, context.training.qrels, context.corpus)
    n = int((gains.table.counts > 0).sum())
    if n < MIN_QUERIES:
        raise DataError(
            f"{component.spec.label}: {n} of {len(context.training.queries)} training queries have a relevant document "
            f"in the corpus, and {MIN_QUERIES} are needed to train a model; make more with 'rag datasets make'"
        )
    return context.training, gains


def weights(component: Component, context: FitContext, make: Callable[[Path], None], upstream: str = "") -> Path:
    """The folder of a trained model: in the store under what it was made from, where ``make`` goes on after a kill; or,
    without a store, a folder that lives as long as the component.
    """
    if context.store is not None and component.spec.is_serializable:
        made_of = [component.spec.cache_key, context.passages.fingerprint, context.training_fingerprint, context.seed]
        text = f"{component!r} trained on {len(context.training.queries) if context.training else 0} queries"
        return context.store.resumable("weights", fingerprint([*made_of, upstream]), make, description=text) / MODEL
    folder = Path(tempfile.mkdtemp(prefix="rag-fine-tuned-"))
    weakref.finalize(component, shutil.rmtree, folder, ignore_errors=True)
    make(folder)
    return folder / MODEL


def trained(model: Path) -> Mapping[str, Any]:
    """The report that :func:`train` has written."""
    return dict(json.loads((model / _ABOUT).read_text(encoding="utf-8")))


def train(
    model: Any,
    data: Mapping[str, Any],
    loss: Callable[[Any], Any],
    folder: Path,
    *,
    context: FitContext,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    device: Any,
) -> None:
    """Train a copy of a model and leave it in the folder, with the mean loss of every epoch.

    Args:
        model: A ``SentenceTransformer`` or a ``CrossEncoder``; it stays as it is.
        data: Columns for the loss, in its order.
        loss: Makes the loss of the copy.
        folder: Folder of checkpoints; training continues from those present.
        context: Gives the seed, and shows that something is going on.
        epochs: Passes over the data.
        batch_size: Rows per step.
        learning_rate: Learning rate of AdamW, after a warm-up over the first tenth of the steps.
        device: ``auto``, or a torch device.

    Raises:
        MissingExtraError: ``accelerate`` is not installed.
    """
    try:
        import accelerate  # noqa: F401 - what the trainer of transformers stands on
    except ImportError:
        raise MissingExtraError("fine-tuning", package="accelerate", extra="train") from None
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from transformers import PrinterCallback
    from transformers.trainer_utils import get_last_checkpoint

    trainer_class, arguments_class, card = _classes(isinstance(model, SentenceTransformer))
    # The loaded model is shared by all who name it: only a copy is trained.
    mine = copy.deepcopy(model).train()
    rows = Dataset.from_dict(dict(data))
    steps = -(-len(rows) // batch_size) * epochs
    checkpoints = folder / _CHECKPOINTS
    checkpoints.mkdir(exist_ok=True)
    arguments = arguments_class(
        output_dir=str(checkpoints),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=steps // 10,
        seed=context.seed,
        data_seed=context.seed,
        batch_sampler="no_duplicates",
        use_cpu=resolve_device(device) == "cpu",
        bf16=False,
        save_strategy="steps",
        save_steps=max(min(_SAVED_EVERY, steps // 2), 1),
        save_total_limit=2,
        logging_strategy="epoch",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    with context.progress("fine-tuning", None), quiet():
        trainer = trainer_class(model=mine, args=arguments, train_dataset=rows, loss=loss(mine))
        for callback in list(trainer.callback_handler.callbacks):
            if isinstance(callback, (PrinterCallback, card)):
                trainer.remove_callback(callback)  # standard output is for results
        _remove_half_written(checkpoints)
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(checkpoints)))  # type: ignore[no-untyped-call]
        mine.eval().save_pretrained(str(folder / MODEL), create_model_card=False)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    report = {"losses": losses, "rows": len(rows), "steps": trainer.state.global_step}
    (folder / MODEL / _ABOUT).write_text(json.dumps(report), encoding="utf-8")
    shutil.rmtree(checkpoints)


_SAVED_EVERY = 100
"""Steps between two checkpoints: what a kill can lose."""


def _remove_half_written(checkpoints: Path) -> None:
    """Remove checkpoints that a kill came into: the trainer's own state is written last."""
    for folder in checkpoints.iterdir():
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)


def _classes(bi_encoder: bool) -> tuple[Any, Any, Any]:
    """Trainer, its arguments, and the callback that writes a card for people."""
    if bi_encoder:
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardCallback

        card: Any = SentenceTransformerModelCardCallback
        return SentenceTransformerTrainer, SentenceTransformerTrainingArguments, card
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.model_card import CrossEncoderModelCardCallback

    return CrossEncoderTrainer, CrossEncoderTrainingArguments, CrossEncoderModelCardCallback
