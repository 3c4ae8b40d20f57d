"""Projections of token vectors with few parameters: what stands between a frozen encoder and MaxSim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag.candidates import Floats, Vectors

if TYPE_CHECKING:
    import torch

__all__ = ["HeadForm", "first_parameters", "forward", "projected"]

HeadForm = Literal["linear", "two_layers", "gated", "residual"]
"""``linear``: ``x P`` (ColBERT). ``two_layers``: ``relu(x A + a) B``. ``gated``: ``x P`` times twice the sigmoid of
``x G + g``. ``residual``: ``x P + relu(x A + a) B``."""

_TOGETHER = 1 << 15
"""Tokens projected at a time."""


def first_parameters(form: HeadForm, directions: Vectors, hidden: int, seed: int) -> dict[str, Floats]:
    """Parameters with which every form is the projection on the same directions: learning starts from what is there.

    Args:
        form: The form.
        directions: Orthonormal columns, float32 [d, width].
        hidden: Width of the hidden layer of ``residual``; that of ``two_layers`` is twice the width.
        seed: Seed of weights that do not matter yet.
    """
    full, width = directions.shape
    if form == "linear":
        return {"P": directions}
    if form == "gated":
        return {"P": directions, "G": np.zeros((full, width), np.float32), "g": np.zeros(width, np.float32)}
    if form == "two_layers":  # relu(v) - relu(-v) = v
        identity = np.eye(width, dtype=np.float32)
        first = np.concatenate([directions, -directions], axis=1)
        return {"A": first, "a": np.zeros(2 * width, np.float32), "B": np.concatenate([identity, -identity])}
    random = np.random.default_rng([seed, full, hidden]).normal(size=(full, hidden)) / np.sqrt(full)
    return {
        "P": directions,
        "A": random.astype(np.float32),
        "a": np.zeros(hidden, np.float32),
        "B": np.zeros((hidden, width), np.float32),
    }


def forward(parameters: Mapping[str, Any], x: torch.Tensor) -> torch.Tensor:
    """Projected tokens of length 1, [m, width]; the names of the parameters tell the form."""
    import torch

    y: Any = x @ parameters["P"] if "P" in parameters else 0
    if "G" in parameters:
        y = y * (2 * torch.sigmoid(x @ parameters["G"] + parameters["g"]))
    if "A" in parameters:
        y = y + torch.relu(x @ parameters["A"] + parameters["a"]) @ parameters["B"]
    normalized: torch.Tensor = torch.nn.functional.normalize(y, dim=-1)
    return normalized


def projected(parameters: Mapping[str, Floats], vectors: Vectors, dtype: Any) -> Vectors:
    """Projected tokens, ``dtype`` [m, width].

    Args:
        parameters: Of any form.
        vectors: Token vectors, float16 or float32 [m, d].
        dtype: ``np.float16`` or ``np.float32``.
    """
    import torch

    width = (parameters["B"] if "B" in parameters else parameters["P"]).shape[1]
    made = np.empty((len(vectors), width), dtype=dtype)
    weights = {name: torch.from_numpy(value) for name, value in parameters.items()}
    with torch.inference_mode():
        for first in range(0, len(vectors), _TOGETHER):
            block = torch.from_numpy(vectors[first : first + _TOGETHER].astype(np.float32))
            made[first : first + _TOGETHER] = forward(weights, block).numpy()
    return made
