"""A student with attention from the asking turn to earlier turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.errors import NotFittedError
from rag.progress import Progress
from rag.summarizers.students.base import Conversations, Student
from rag.summarizers.students.losses import TEMPERATURE, Loss, torch_loss

if TYPE_CHECKING:
    import torch

    from rag.fitting import FitContext

__all__ = ["SoftHistory"]

_HELD_OUT = 0.1
"""Share of the pairs, the last ones, held out for early stopping."""


class SoftHistory(Student):
    """The latest user turn attends softly to the turns before it, and a small network maps both into summary space
    (after CONVERSE, NAACL 2024, whose details are not public: single-head attention with a learned preference for
    recent turns, then one hidden layer beside a linear path).

    Inputs and targets are frozen embeddings. Training stops when the loss on a tenth of the pairs, held out, no longer
    improves.

    Args:
        hidden: Width of the hidden layer.
        dropout: Share of the hidden layer dropped at random during training.
        loss: ``info_nce`` with the rest of the batch as negatives, ``cosine`` or ``mse``.
        temperature: Temperature of the cosines in ``info_nce``.
        epochs: Maximum number of passes over the pairs.
        patience: Passes without improvement before stopping.
        batch_size: Pairs per step.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
    """

    type = "soft_history"
    _libraries = ("torch",)

    def __init__(
        self,
        *,
        hidden: Annotated[int, Field(ge=1)] = 768,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        loss: Loss = "info_nce",
        temperature: Annotated[float, Field(gt=0)] = TEMPERATURE,
        epochs: Annotated[int, Field(ge=1)] = 60,
        patience: Annotated[int, Field(ge=1)] = 6,
        batch_size: Annotated[int, Field(ge=2)] = 256,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
        weight_decay: Annotated[float, Field(ge=0)] = 0.01,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.loss: Loss = loss
        self.temperature = temperature
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._network: torch.nn.Module | None = None

    def learn(self, conversations: Conversations, targets: Vectors, *, seed: int, progress: Progress) -> None:
        import copy

        import torch

        latest, history, mask = (torch.from_numpy(array) for array in _padded(conversations))
        goal = torch.from_numpy(np.ascontiguousarray(targets))
        n_held = int(len(goal) * _HELD_OUT) if len(goal) >= 20 else 0
        train, held = np.arange(len(goal) - n_held), torch.arange(len(goal) - n_held, len(goal))
        with torch.random.fork_rng(), progress("learning (soft_history)", self.epochs) as advance:
            torch.manual_seed(seed)
            network = _network(goal.shape[1], self.hidden, self.dropout)
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
            best, best_state, waited = np.inf, copy.deepcopy(network.state_dict()), 0
            rng = np.random.default_rng(seed)
            for _ in range(self.epochs):
                network.train()
                order = torch.from_numpy(rng.permutation(train))
                for first in range(0, len(order), self.batch_size):
                    rows = order[first : first + self.batch_size]
                    optimizer.zero_grad()
                    outputs = network(latest[rows], history[rows], mask[rows])
                    loss: Any = torch_loss(self.loss, outputs, goal[rows], self.temperature)
                    loss.backward()
                    optimizer.step()
                advance(1)
                if not n_held:
                    continue
                network.eval()
                with torch.no_grad():
                    outputs = network(latest[held], history[held], mask[held])
                    now = float(torch_loss(self.loss, outputs, goal[held], self.temperature))
                waited += 1
                if now < best:
                    best, best_state, waited = now, copy.deepcopy(network.state_dict()), 0
                if waited >= self.patience:
                    break
            if n_held:
                network.load_state_dict(best_state)
        self._network = network.eval()

    def encode(self, conversations: Conversations) -> Vectors:
        import torch

        if self._network is None:
            raise NotFittedError.of(self)
        with torch.no_grad():
            outputs: Any = self._network(*(torch.from_numpy(array) for array in _padded(conversations)))
        return np.asarray(outputs.numpy(), dtype=np.float32)

    def save_state(self, folder: Path) -> None:
        from safetensors.torch import save_file

        if self._network is not None:
            save_file(self._network.state_dict(), folder / "network.safetensors")

    def load_state(self, folder: Path, context: FitContext) -> None:
        if not (folder / "network.safetensors").is_file():
            return
        from safetensors.torch import load_file

        weights = load_file(folder / "network.safetensors")
        self._network = _network(weights["linear.weight"].shape[0], self.hidden, self.dropout)
        self._network.load_state_dict(weights)
        self._network.eval()


def _padded(conversations: Conversations) -> tuple[Vectors, Vectors, Any]:
    """The asking turn, float32 [n, d]; the turns before it, latest first, float32 [n, h, d]; and the mask of the
    latter, bool [n, h].
    """
    said = conversations.utterances
    lengths = np.diff(said.ends) - 1
    width = int(lengths.max(initial=0))
    back = np.arange(1, width + 1)
    mask = back <= lengths[:, None]
    rows = np.where(mask, said.latest[:, None] - back, 0)
    return said.vectors[said.latest], said.vectors[rows] * mask[:, :, None], mask


def _network(dimension: int, hidden: int, dropout: float) -> torch.nn.Module:
    """The network; the class is defined here to load torch only on use."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Linear(dimension, dimension, bias=False)
            self.key = nn.Linear(dimension, dimension, bias=False)
            self.recency = nn.Parameter(torch.zeros(1))
            self.linear = nn.Linear(2 * dimension, dimension)
            self.deep = nn.Sequential(
                nn.Linear(2 * dimension, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dimension)
            )

        def forward(self, latest: torch.Tensor, history: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            logits = torch.einsum("nd,nhd->nh", self.query(latest), self.key(history)) / dimension**0.5
            logits = logits - self.recency * torch.arange(mask.shape[1], device=mask.device)
            # Without earlier turns there is nothing to attend to: the sum of no weights is the zero vector.
            weights = torch.softmax(logits.masked_fill(~mask, -1e9), dim=1) * mask
            both = torch.cat([latest, torch.einsum("nh,nhd->nd", weights, history)], dim=1)
            return nn.functional.normalize(self.linear(both) + self.deep(both), dim=1)

    return Network()
