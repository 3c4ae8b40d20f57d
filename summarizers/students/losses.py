"""How far vectors of conversations are from those of their summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rag.candidates import Vectors

if TYPE_CHECKING:
    import torch

__all__ = ["Loss", "held_out_loss", "torch_loss"]

Loss = Literal["info_nce", "cosine", "mse"]
"""``info_nce`` tells the own summary from those of others (van den Oord et al. 2018), the latter two come near it."""

TEMPERATURE = 0.05
"""Of the cosines in ``info_nce``."""

_NEGATIVES = 4096


def held_out_loss(loss: Loss, found: Vectors, targets: Vectors) -> float:
    """The loss over pairs that were not learned from; both float32 [n, d], of length 1. In ``info_nce``, summaries that
    are alike count as one.
    """
    if loss == "mse":
        return float(((found - targets) ** 2).mean())
    if loss == "cosine":
        return float(1.0 - (found * targets).sum(axis=1).mean())
    distinct, own = np.unique(targets[:_NEGATIVES], axis=0, return_inverse=True)
    logits = (found[:_NEGATIVES] @ distinct.T).astype(np.float64) / TEMPERATURE
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(logits)), own.ravel()]).mean())


def torch_loss(loss: Loss, found: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """The loss of a batch with gradient; both [n, d], of length 1. In ``info_nce`` the others of the batch are the
    negatives, except those whose summary is the same.
    """
    import torch

    if loss == "mse":
        return torch.nn.functional.mse_loss(found, targets)
    if loss == "cosine":
        return 1.0 - (found * targets).sum(dim=1).mean()
    logits = found @ targets.T / temperature
    same = (targets @ targets.T > 1.0 - 1e-5) & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    labels = torch.arange(len(targets), device=targets.device)
    return torch.nn.functional.cross_entropy(logits.masked_fill(same, float("-inf")), labels)
