"""Base of fine-tuned models: saving of weights, and the report on training."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag.component import Component
from rag.errors import NotFittedError
from rag.learning.reports import ReportsLearning
from rag.rerankers.fine_tuned.training import MODEL, trained

__all__ = ["FineTuned"]


class FineTuned(Component, ReportsLearning):
    """A component around a model that was trained on from another."""

    @abstractmethod
    def _model(self) -> Path | None:
        """The folder of the trained model; None before it is fitted."""

    @property
    def _caches_state(self) -> bool:
        """Weights are an artifact of their own."""
        return False

    def save_state(self, folder: Path) -> None:
        model = self._model()
        if model is None:
            raise NotFittedError.of(self)
        shutil.copytree(model, folder / MODEL)

    def learned_report(self) -> Mapping[str, Any]:
        """The mean loss of every epoch, and on how many rows it was trained."""
        model = self._model()
        return {} if model is None else trained(model)

    def notes(self) -> tuple[str, ...]:
        report = self.learned_report()
        if not report:
            return ()
        losses = " -> ".join(f"{loss:.4f}" for loss in report["losses"])
        return (
            f"{self.kind} fine_tuned was trained on {report['rows']:,} rows in {report['steps']:,} steps, mean loss by "
            f"epoch {losses}; it has seen the training queries, so what learns behind it from them expects too much",
        )
