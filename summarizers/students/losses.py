"""Losses between vectors of conversations and those of their summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rag.candidates import Vectors

if TYPE_CHECKING:
    import torch

__all__ = ["Loss", "held_out_loss", "torch_loss"]

Loss = Literal["info_nce", "cosine", "mse"]
"""``info_nce`` separates the matching summary from others (van den Oord et al. 2018); the others measure distance."""

TEMPERATURE = 0.05
"""Temperature of the cosines in ``info_nce``."""

_NEGATIVES = 4096


def held_out_loss(loss: Loss, outputs: Vectors, targets: Vectors) -> float:
    """The loss over held-out pairs; both float32 [n, d], of length 1. In ``info_nce``, equal summaries count as one."""
    if loss == "mse":
        return float(((outputs - targets) ** 2).mean())
    if loss == "cosine":
        return float(1.0 - (outputs * targets).sum(axis=1).mean())
    distinct, own = np.unique(targets[:_NEGATIVES], axis=0, return_inverse=True)
    logits = (outputs[:_NEGATIVES] @ distinct.T).astype(np.float64) / TEMPERATURE
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(logits)), own.ravel()]).mean())


def torch_loss(loss: Loss, outputs: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """The loss of a batch with gradient; both [n, d], of length 1. In ``info_nce`` the rest of the batch is negative,
    except equal summaries.
    """
    import torch

    if loss == "mse":
        return torch.nn.functional.mse_loss(outputs, targets)
    if loss == "cosine":
        return 1.0 - (outputs * targets).sum(dim=1).mean()
    logits = outputs @ targets.T / temperature
    same = (targets @ targets.T > 1.0 - 1e-5) & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    labels = torch.arange(len(targets), device=targets.device)
    return torch.nn.functional.cross_entropy(logits.masked_fill(same, float("-inf")), labels)
